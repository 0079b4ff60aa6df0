#include "sluicectl/output/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "sluicectl/output/json_text.hpp"
#include "sluicectl/output/table.hpp"
#include "sluicectl/output/yaml_text.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

json::value to_json(const Cell& cell) {
  struct {
    json::value operator()(std::monostate) const { return nullptr; }
    json::value operator()(bool value) const { return value; }
    json::value operator()(std::int64_t value) const { return value; }
    json::value operator()(double value) const { return value; }
    json::value operator()(const std::string& value) const { return json::value(value); }
    json::value operator()(const RawJson& value) const { return json::parse(value.text); }
  } visitor;
  return std::visit(visitor, cell);
}

json::object to_json(const std::vector<std::string>& names, const std::vector<Cell>& cells) {
  json::object object;
  for (std::size_t i = 0; i < names.size(); ++i) object[names[i]] = to_json(cells[i]);
  return object;
}

bool is_number(const Cell& cell) {
  return std::holds_alternative<std::int64_t>(cell) || std::holds_alternative<double>(cell);
}

double number(const Cell& cell) {
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) return static_cast<double>(*integer);
  return std::get<double>(cell);
}

// Orders cells: null first, then numbers by their value, then the rest by its text.
bool less(const Cell& a, const Cell& b) {
  if (is_number(a) && is_number(b)) return number(a) < number(b);
  const auto rank = [](const Cell& cell) {
    return std::holds_alternative<std::monostate>(cell) ? 0 : is_number(cell) ? 1 : 2;
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  return cell_text(a) < cell_text(b);
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

// Quotes everything but numbers and booleans; null is the empty string.
std::string csv_cell(const Cell& cell) {
  if (std::holds_alternative<std::monostate>(cell)) return in_quotes("");
  if (is_number(cell) || std::holds_alternative<bool>(cell)) return cell_text(cell);
  return in_quotes(cell_text(cell));
}

std::string csv_line(const std::vector<Cell>& cells) {
  std::vector<std::string> texts;
  for (const auto& cell : cells) texts.push_back(csv_cell(cell));
  return fmt::format("{}\n", fmt::join(texts, ","));
}

std::string csv(const std::vector<std::string>& names, const std::vector<std::vector<Cell>>& rows) {
  std::string out = csv_line({names.begin(), names.end()});
  for (const auto& row : rows) out += csv_line(row);
  return out;
}

std::vector<std::string> texts(const std::vector<Cell>& cells) {
  std::vector<std::string> out;
  std::transform(cells.begin(), cells.end(), std::back_inserter(out), cell_text);
  return out;
}

std::string table(const Record& record) {
  TextTable table({"Field", "Value"});
  for (std::size_t i = 0; i < record.fields.size(); ++i)
    table.add_row({record.fields[i], cell_text(record.values[i])});
  return table.text();
}

// A column's side follows the type of its first value, as in the OpenStack client.
std::string table(const Listing& listing) {
  TextTable table(listing.columns);
  for (std::size_t i = 0; !listing.rows.empty() && i < listing.columns.size(); ++i)
    if (is_number(listing.rows.front()[i])) table.align_right(i);
  for (const auto& row : listing.rows) table.add_row(texts(row));
  return table.text();
}

std::vector<bool> wanted(const std::vector<std::string>& names,
                         const std::vector<std::string>& columns) {
  std::vector<bool> keep;
  for (const auto& name : names)
    keep.push_back(columns.empty() ||
                   std::find(columns.begin(), columns.end(), name) != columns.end());
  return keep;
}

template <typename T>
void keep_only(std::vector<T>& values, const std::vector<bool>& keep) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (keep[i]) std::swap(values[kept++], values[i]);
  values.resize(kept);
}

}  // namespace

std::optional<Format> parse_format(std::string_view text) {
  if (text == "table") return Format::table;
  if (text == "value") return Format::value;
  if (text == "json") return Format::json;
  if (text == "yaml") return Format::yaml;
  if (text == "csv") return Format::csv;
  return std::nullopt;
}

std::string cell_text(const Cell& cell) {
  struct {
    std::string operator()(std::monostate) const { return "None"; }
    std::string operator()(bool value) const { return value ? "True" : "False"; }
    std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const {
      const auto text = fmt::format("{}", value);  // "1" for 1.0: a number with a point stays one
      return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
    }
    std::string operator()(const std::string& value) const { return value; }
    std::string operator()(const RawJson& value) const { return value.text; }
  } visitor;
  return std::visit(visitor, cell);
}

void select(Record& record, const std::vector<std::string>& columns) {
  const auto keep = wanted(record.fields, columns);
  keep_only(record.values, keep);
  keep_only(record.fields, keep);
}

void select(Listing& listing, const std::vector<std::string>& columns) {
  const auto keep = wanted(listing.columns, columns);
  for (auto& row : listing.rows) keep_only(row, keep);
  keep_only(listing.columns, keep);
}

void sort(Listing& listing, const std::vector<std::string>& columns, bool descending) {
  for (auto column = columns.rbegin(); column != columns.rend(); ++column) {
    const auto found = std::find(listing.columns.begin(), listing.columns.end(), *column);
    if (found == listing.columns.end()) continue;
    const auto at = found - listing.columns.begin();
    std::stable_sort(listing.rows.begin(), listing.rows.end(),
                     [at, descending](const auto& a, const auto& b) {
                       return descending ? less(b[at], a[at]) : less(a[at], b[at]);
                     });
  }
}

std::string format(const Record& record, Format format) {
  switch (format) {
    case Format::table:
      return table(record);
    case Format::value:
      return fmt::format("{}\n", fmt::join(texts(record.values), "\n"));
    case Format::json:
      return pretty(to_json(record.fields, record.values), 2) + "\n";
    case Format::yaml:
      return yaml_map(record.fields, record.values);
    case Format::csv:
      return csv(record.fields, {record.values});
  }
  return {};
}

std::string format(const Listing& listing, Format format) {
  std::string out;
  switch (format) {
    case Format::table:
      return table(listing);
    case Format::value:
      for (const auto& row : listing.rows) out += fmt::format("{}\n", fmt::join(texts(row), " "));
      return out;
    case Format::json: {
      json::array objects;
      for (const auto& row : listing.rows) objects.push_back(to_json(listing.columns, row));
      return pretty(objects, 2) + "\n";
    }
    case Format::yaml:
      return yaml_list(listing.columns, listing.rows);
    case Format::csv:
      return csv(listing.columns, listing.rows);
  }
  return out;
}

}  // namespace sluice::ctl
