#include "fleet/json_fields.hpp"

#include <boost/json/parse.hpp>
#include <utility>

namespace sluice::fleet {
namespace json = boost::json;

std::optional<json::object> parse_object(const std::string& text) {
  boost::system::error_code error;
  auto value = json::parse(text, error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

std::string text_at(const json::object& object, std::string_view name) {
  const auto* found = object.if_contains(name);
  return found && found->is_string() ? std::string(found->get_string()) : std::string();
}

std::uint64_t number_at(const json::object& object, std::string_view name) {
  const auto* found = object.if_contains(name);
  if (found && found->is_uint64()) return found->get_uint64();
  return found && found->is_int64() ? static_cast<std::uint64_t>(found->get_int64()) : 0;
}

bool truth_at(const json::object& object, std::string_view name) {
  const auto* found = object.if_contains(name);
  return found && found->is_bool() && found->get_bool();
}

}  // namespace sluice::fleet
