// parse_object(), text_at(), number_at(), truth_at(): how the nodes read what they have written
// into etcd. A field that is missing or of another type reads as empty, so nodes of other versions
// may add and leave out fields.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::fleet {

// nullopt: the text is no JSON object.
std::optional<boost::json::object> parse_object(const std::string& text);

std::string text_at(const boost::json::object& object, std::string_view name);
std::uint64_t number_at(const boost::json::object& object, std::string_view name);
bool truth_at(const boost::json::object& object, std::string_view name);

}  // namespace sluice::fleet
