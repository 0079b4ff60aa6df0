#include "sluicectl/nouns/cells.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

namespace sluice::ctl {
namespace {

namespace json = boost::json;

// The OpenStack client shows these two unformatted.
bool shown_raw(const std::string& field) {
  return field == "sni_container_refs" || field == "additional_vips";
}

std::string text_of(const json::value& value) {
  if (const auto* text = value.if_string()) return std::string(*text);
  if (const auto* object = value.if_object())
    if (const auto* id = object->if_contains("id"); id && id->is_string())
      return std::string(id->get_string());
  if (value.is_null()) return "None";
  return json::serialize(value);
}

std::string lines(const json::array& array) {
  std::string out;
  for (const auto& item : array) {
    if (&item != array.begin()) out += '\n';
    out += text_of(item);
  }
  return out;
}

Cell map_cell(const json::object& object) {
  if (object.empty()) return std::monostate{};
  std::string out;
  for (const auto& [key, value] : object) {
    if (!out.empty()) out += '\n';
    out += std::string(key) + "=" + text_of(value);
  }
  return out;
}

// A range is listed as it is typed: "8000-8010". Its last number is an attribute of its own.
Cell listed(const json::object& object, const std::string& field) {
  const auto* last = object.if_contains(field + "_range");
  if (!last || !last->is_int64()) return to_cell(object, field);
  return fmt::format("{}-{}", cell_text(to_cell(object, field)), last->get_int64());
}

}  // namespace

Cell to_cell(const json::object& object, const std::string& field) {
  const auto* value = object.if_contains(field);
  if (!value) return std::string{};
  switch (value->kind()) {
    case json::kind::null:
      return std::monostate{};
    case json::kind::bool_:
      return value->get_bool();
    case json::kind::int64:
      return value->get_int64();
    case json::kind::uint64:  // only what int64 can't hold
      return std::to_string(value->get_uint64());
    case json::kind::double_:
      return value->get_double();
    case json::kind::string:
      return std::string(value->get_string());
    case json::kind::array:
      if (shown_raw(field)) return RawJson{json::serialize(*value)};
      return lines(value->get_array());
    case json::kind::object:
      return map_cell(value->get_object());
  }
  return std::monostate{};
}

Record to_record(const json::object& object, const Resource& resource) {
  Record record;
  for (const auto& field : resource.rows) {
    record.fields.push_back(field);
    record.values.push_back(to_cell(object, field));
  }
  for (const auto& field : resource.optional_rows) {
    const auto cell = to_cell(object, field);
    if (cell == Cell{} || cell == Cell{std::string{}}) continue;
    record.fields.push_back(field);
    record.values.push_back(cell);
  }
  return record;
}

Listing to_listing(const json::array& objects, const Resource& resource,
                   const std::vector<std::string>& columns) {
  Listing listing{columns, {}};
  for (const auto& item : objects) {
    const auto* object = item.if_object();
    if (!object) continue;
    auto& row = listing.rows.emplace_back();
    for (const auto& column : columns) {
      const auto attribute = resource.attributes.find(column);
      row.push_back(
          listed(*object, attribute == resource.attributes.end() ? column : attribute->second));
    }
  }
  return listing;
}

}  // namespace sluice::ctl
