#include "table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace sluice::loader {
namespace {

// Names of interfaces and programs may have any byte but blanks.
std::string json_string(const std::string& text) {
  std::string quoted = "\"";
  for (const unsigned char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += static_cast<char>(c);
    } else if (c < ' ') {
      quoted += fmt::format("\\u{:04x}", c);
    } else {
      quoted += static_cast<char>(c);
    }
  }
  return quoted + '"';
}

}  // namespace

Result<Table> Table::only(const std::vector<std::string>& names) const {
  if (names.empty()) return *this;
  Table result{names, std::vector<std::vector<std::string>>(rows.size())};
  for (const auto& name : names) {
    const auto found = std::find(columns.begin(), columns.end(), name);
    if (found == columns.end()) {
      return fail(ErrorKind::invalid, "there is no column '" + name + "'",
                  fmt::format("choose from {}", fmt::join(columns, ", ")));
    }
    const auto column = static_cast<std::size_t>(found - columns.begin());
    for (std::size_t row = 0; row < rows.size(); ++row) {
      result.rows[row].push_back(rows[row][column]);
    }
  }
  return result;
}

std::string Table::as_table() const {
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < columns.size(); ++column) {
    std::size_t width = columns[column].size();
    for (const auto& row : rows) width = std::max(width, row[column].size());
    widths.push_back(width);
  }
  std::string rule = "+";
  for (const auto width : widths) rule += std::string(width + 2, '-') + "+";
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text = "|";
    for (std::size_t i = 0; i < cells.size(); ++i) {
      text += fmt::format(" {:<{}} |", cells[i], widths[i]);
    }
    return text + "\n";
  };
  std::string text = rule + "\n" + line(columns) + rule + "\n";
  for (const auto& row : rows) text += line(row);
  return text + rule + "\n";
}

std::string Table::as_values() const {
  std::string text;
  for (const auto& row : rows) text += fmt::format("{}\n", fmt::join(row, " "));
  return text;
}

std::string Table::as_json() const {
  std::vector<std::string> objects;
  for (const auto& row : rows) {
    std::vector<std::string> members;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      members.push_back(json_string(columns[i]) + ": " + json_string(row[i]));
    }
    objects.push_back(fmt::format("  {{{}}}", fmt::join(members, ", ")));
  }
  if (objects.empty()) return "[]";
  return fmt::format("[\n{}\n]", fmt::join(objects, ",\n"));
}

}  // namespace sluice::loader
