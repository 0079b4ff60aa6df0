#include "api/language/attributes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "api/language/fault.hpp"
#include "base/printable.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

// Prints a value as Python does, because the real service's texts show it so.
std::string python(const json::value& value) {
  if (value.is_null()) return "None";
  if (value.is_bool()) return value.get_bool() ? "True" : "False";
  if (value.is_string()) return fmt::format("'{}'", std::string_view(value.get_string()));
  if (value.is_double()) {
    const auto text = fmt::format("{}", value.get_double());
    return text.find_first_of(".en") == text.npos ? text + ".0" : text;
  }
  std::vector<std::string> parts;
  if (value.is_array()) {
    for (const auto& entry : value.get_array()) parts.push_back(python(entry));
    return fmt::format("[{}]", fmt::join(parts, ", "));
  }
  if (!value.is_object()) return json::serialize(value);
  for (const auto& [key, entry] : value.get_object()) {
    parts.push_back(fmt::format("'{}': {}", std::string_view(key), python(entry)));
  }
  return fmt::format("{{{}}}", fmt::join(parts, ", "));
}

// Parses an id in its canonical form or, like the real service, without hyphens.
std::optional<Uuid> parse_loosely(std::string text) {
  if (text.size() == 32 && text.find('-') == std::string::npos) {
    for (const std::size_t at : {20U, 16U, 12U, 8U}) text.insert(at, "-");
  }
  return parse_uuid(text);
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const auto first = text.find_first_not_of(blanks);
  if (first == text.npos) return std::nullopt;
  text = text.substr(first, text.find_last_not_of(blanks) - first + 1);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Cuts off fractions, as the real service does. Values beyond int64 saturate, so they fail any
// range.
std::optional<std::int64_t> as_integer(const json::value& value) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  constexpr auto least = std::numeric_limits<std::int64_t>::min();
  if (value.is_int64()) return value.get_int64();
  if (value.is_bool()) return value.get_bool() ? 1 : 0;
  if (value.is_uint64()) return most;
  if (value.is_string()) return parse_integer(value.get_string());
  if (!value.is_double() || std::isnan(value.get_double())) return std::nullopt;
  const double number = std::trunc(value.get_double());
  if (number >= 9.2e18) return most;
  if (number <= -9.2e18) return least;
  return static_cast<std::int64_t>(number);
}

std::optional<bool> as_boolean(const json::value& value) {
  if (value.is_bool()) return value.get_bool();
  if (value.is_int64()) return value.get_int64() != 0;
  if (!value.is_string()) return std::nullopt;
  const std::string_view word = value.get_string();
  for (auto yes : {"true", "t", "yes", "y", "on", "1"}) {
    if (word == yes) return true;
  }
  for (auto no : {"false", "f", "no", "n", "off", "0"}) {
    if (word == no) return false;
  }
  return std::nullopt;
}

bool is_empty(const json::value& value) {
  return value.is_null() || (value.is_bool() && !value.get_bool()) ||
         (value.is_string() && value.get_string().empty()) ||
         (value.is_array() && value.get_array().empty()) ||
         (value.is_object() && value.get_object().empty());
}

// The error for texts that could move an operator's cursor or turn text around. Descriptions may
// have several lines; programs that show them escape the rest.
Error unprintable(std::string_view name, std::string_view value) {
  return invalid_input(name, printable(value), "Value should have no control characters");
}

// "Unknown attribute for argument listener_.listener: a" / "Unknown attributes ...: a, b"
Error unknown_attributes(std::string_view where, const std::vector<std::string_view>& names) {
  return {ErrorKind::invalid,
          fmt::format("Unknown attribute{} for argument {}: {}", names.size() > 1 ? "s" : "", where,
                      fmt::join(names, ", ")),
          {},
          0};
}

// Parses the body, an object that has the wrapper and nothing else.
Result<json::object> parse_body(const Request& request, std::string_view argument,
                                std::string_view wrapper) {
  if (!request.content_type.starts_with("application/json")) {
    return fail(ErrorKind::invalid, "Unknown mimetype: " + request.content_type,
                "send Content-Type: application/json");
  }
  if (request.body.empty()) {
    return fail(ErrorKind::invalid, fmt::format("Missing argument: \"{}\"", argument));
  }
  json::error_code error;
  json::value body = json::parse(request.body, error);
  if (error) return fail(ErrorKind::invalid, "Request is not in valid JSON format");
  if (!body.is_object()) return fail(ErrorKind::invalid, "Request must be a JSON dict");

  std::vector<std::string_view> strangers;
  for (const auto& [key, value] : body.get_object()) {
    if (key != wrapper) strangers.push_back(key);
  }
  if (!strangers.empty()) return tl::unexpected(unknown_attributes(argument, strangers));
  const auto* inner = body.get_object().if_contains(wrapper);
  if (!inner || inner->is_null()) {
    return tl::unexpected(invalid_input(wrapper, "None", "Mandatory field missing."));
  }
  return std::move(body.get_object());
}

}  // namespace

std::string quoted(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : python(value);
}

Result<json::object> unwrap(const Request& request, std::string_view argument,
                            std::string_view wrapper) {
  auto body = parse_body(request, argument, wrapper);
  if (!body) return body;
  auto& inner = body->at(wrapper);
  if (!inner.is_object()) {
    return tl::unexpected(invalid_input(wrapper, quoted(inner), "Value should be an object"));
  }
  return std::move(inner.get_object());
}

Result<json::object> unwrap_list(const Request& request, std::string_view argument,
                                 std::string_view wrapper) {
  return parse_body(request, argument, wrapper);
}

Attributes::Attributes(const json::object& object, Purpose purpose, std::string where)
    : object_(object), purpose_(purpose), where_(std::move(where)) {}

bool Attributes::given(std::string_view name) const {
  const auto* value = object_.if_contains(name);
  return value && !value->is_null();
}

const json::value* Attributes::take(std::string_view name) {
  known_.push_back(name);
  return object_.if_contains(name);
}

void Attributes::refuse(Error error) {
  if (!error_) error_ = std::move(error);
}

void Attributes::ignore(std::string_view name) {
  known_.push_back(name);
}

Result<void> Attributes::finish() const {
  std::vector<std::string_view> strangers;
  for (const auto& [key, value] : object_) {
    if (std::ranges::find(known_, std::string_view(key)) == known_.end()) strangers.push_back(key);
  }
  if (!strangers.empty()) return tl::unexpected(unknown_attributes(where_, strangers));
  if (error_) return tl::unexpected(*error_);
  return {};
}

// Checks that the attribute is there on creation; an update may leave it out.
bool Attributes::require(std::string_view name) {
  if (given(name) || (!creating() && !object_.contains(name))) return true;
  known_.push_back(name);
  if (creating() && !object_.contains(name)) {
    refuse(invalid_input(name, "None", "Mandatory field missing."));
  } else {
    refuse({ErrorKind::invalid, fmt::format("None is not a valid option for {}", name), {}, 0});
  }
  return false;
}

Attributes::Integer Attributes::read_integer(std::string_view name, model::Range range, Null null) {
  const auto* value = take(name);
  if (!value || error_) return std::nullopt;
  if (value->is_null() && null == Null::means_default) return Integer(std::in_place);
  const auto number = as_integer(*value);
  if (!number) {
    refuse(invalid_input(name, quoted(*value), "Value should be an integer"));
  } else if (auto within = model::check_range(name, *number, range); !within) {
    refuse(within.error());
  } else {
    return number;
  }
  return std::nullopt;
}

Attributes::Word Attributes::read_text(std::string_view name, std::size_t longest) {
  const auto* value = take(name);
  if (!value || error_) return std::nullopt;
  if (value->is_null()) return Word(std::in_place);
  if (!value->is_string()) {
    refuse(invalid_input(name, quoted(*value), "Value should be string"));
  } else if (auto short_enough = model::check_length(name, value->get_string(), longest);
             !short_enough) {
    refuse(short_enough.error());
  } else if (std::string_view(value->get_string()).find('\0') != std::string_view::npos) {
    refuse(invalid_input(name, "", "Value should have no NUL character"));
  } else if (name != "description" && !is_printable(value->get_string())) {
    refuse(unprintable(name, value->get_string()));
  } else {
    return std::string(value->get_string());
  }
  return std::nullopt;
}

Attributes::Word Attributes::read_word(std::string_view name,
                                       std::span<const std::string_view> words,
                                       const std::function<bool(std::string_view)>& known,
                                       Null null) {
  const auto* value = take(name);
  if (!value || error_) return std::nullopt;
  if (value->is_null() && null == Null::means_default) return Word(std::in_place);
  const auto word = value->is_string() ? std::string(value->get_string()) : std::string();
  if (std::ranges::find(words, word) == words.end()) {
    refuse(invalid_input(name, quoted(*value),
                         fmt::format("Value should be one of: {}", fmt::join(words, ", "))));
    return std::nullopt;
  }
  if (!known(word)) {
    std::vector<std::string_view> supported;
    std::ranges::copy_if(words, std::back_inserter(supported), known);
    refuse(unsupported_option(fmt::format("{} {} needs more than packets (supported: {})", name,
                                          word, fmt::join(supported, ", "))));
    return std::nullopt;
  }
  return word;
}

void Attributes::text(std::string_view name, std::string& target, std::size_t longest,
                      std::string_view fallback) {
  if (auto value = read_text(name, longest)) target = value->value_or(std::string(fallback));
}

void Attributes::optional_text(std::string_view name, std::optional<std::string>& target,
                               std::size_t longest) {
  if (auto value = read_text(name, longest)) target = std::move(*value);
}

void Attributes::word(std::string_view name, std::string& target,
                      std::span<const std::string_view> words, std::string_view fallback) {
  const auto all = [](std::string_view) { return true; };
  if (auto value = read_word(name, words, all, Null::means_default)) {
    target = value->value_or(std::string(fallback));
  }
}

void Attributes::boolean(std::string_view name, bool& target, bool fallback) {
  const auto* value = take(name);
  if (!value || error_) return;
  if (value->is_null()) {
    target = fallback;
  } else if (auto truth = as_boolean(*value)) {
    target = *truth;
  } else {
    refuse(
        invalid_input(name, quoted(*value), "Value not an unambiguous boolean: " + quoted(*value)));
  }
}

void Attributes::tags(std::string_view name, std::vector<std::string>& target) {
  const auto* value = take(name);
  if (!value || error_) return;
  std::vector<std::string> tags;
  if (!value->is_null() && !value->is_array()) {
    return refuse(invalid_input(name, quoted(*value), "Value not a valid list"));
  }
  for (const auto& tag : value->is_array() ? value->get_array() : json::array{}) {
    if (!tag.is_string()) {
      return refuse(invalid_input(name, quoted(*value), "Value should be string"));
    }
    if (!model::check_length(name, tag.get_string())) {
      return refuse(invalid_input(name, quoted(*value),
                                  fmt::format("Value should have a maximum character requirement "
                                              "of {}",
                                              model::max_text_length)));
    }
    if (!is_printable(tag.get_string())) return refuse(unprintable(name, tag.get_string()));
    std::string text(tag.get_string());
    if (std::ranges::find(tags, text) == tags.end()) tags.push_back(std::move(text));
  }
  target = std::move(tags);
}

void Attributes::required_address(std::string_view name, IpAddress& target, std::string* typed) {
  if (!require(name)) return;
  std::optional<IpAddress> address;
  optional_address(name, address, typed);
  if (address) target = *address;
}

void Attributes::optional_address(std::string_view name, std::optional<IpAddress>& target,
                                  std::string* typed) {
  const auto* value = take(name);
  if (!value || error_) return;
  if (typed) typed->clear();
  if (value->is_null()) return target.reset();
  auto address = parse_ip_address(value->is_string() ? std::string_view(value->get_string()) : "");
  if (!address) {
    return refuse(invalid_input(name, quoted(*value), "Value should be IPv4 or IPv6 format"));
  }
  target = *address;
  if (typed && address->to_string() != std::string_view(value->get_string())) {
    *typed = std::string(value->get_string());
  }
}

void Attributes::required_id(std::string_view name, Uuid& target) {
  if (!require(name)) return;
  std::optional<Uuid> id;
  optional_id(name, id);
  if (id) target = *id;
}

void Attributes::optional_id(std::string_view name, std::optional<Uuid>& target) {
  const auto* value = take(name);
  if (!value || error_) return;
  if (value->is_null()) return target.reset();
  const auto id = parse_loosely(value->is_string() ? std::string(value->get_string()) : "");
  if (!id) return refuse(invalid_input(name, quoted(*value), "Value should be UUID format"));
  target = *id;
}

void Attributes::project() {
  std::string ignored;
  text("project_id", ignored, model::max_project_id_length);
  text("tenant_id", ignored, model::max_project_id_length);
}

void Attributes::networks(std::string_view name, std::vector<IpNetwork>& target) {
  const auto* value = take(name);
  if (!value || error_) return;
  std::vector<IpNetwork> networks;
  if (!value->is_null() && !value->is_array()) {
    return refuse(invalid_input(name, quoted(*value), "Value not a valid list"));
  }
  for (const auto& entry : value->is_array() ? value->get_array() : json::array{}) {
    const auto network = parse_ip_network(entry.is_string() ? entry.get_string() : "");
    if (!network) {
      return refuse(
          invalid_input(name, quoted(*value), "Value should be IPv4 or IPv6 CIDR format"));
    }
    if (std::ranges::find(networks, *network) == networks.end()) networks.push_back(*network);
  }
  target = std::move(networks);
}

void Attributes::addresses(std::string_view name, std::vector<IpAddress>& target) {
  const auto* value = take(name);
  if (!value || error_) return;
  std::vector<IpAddress> addresses;
  if (!value->is_null() && !value->is_array()) {
    return refuse(invalid_input(name, quoted(*value), "Value not a valid list"));
  }
  for (const auto& entry : value->is_array() ? value->get_array() : json::array{}) {
    const auto address = parse_ip_address(entry.is_string() ? entry.get_string() : "");
    if (!address) {
      return refuse(invalid_input(name, quoted(*value), "Value should be IPv4 or IPv6 format"));
    }
    addresses.push_back(*address);
  }
  target = std::move(addresses);
}

void Attributes::nest(std::string_view name, const json::value& value, const ReadNested& read) {
  if (!value.is_object()) {
    return refuse(invalid_input(name, quoted(value), "Value should be an object"));
  }
  Attributes nested(value.get_object(), purpose_, where_ + "." + std::string(name));
  read(nested);
  if (auto done = nested.finish(); !done) refuse(done.error());
}

void Attributes::object(std::string_view name, const ReadNested& read) {
  const auto* value = take(name);
  if (value && !value->is_null() && !error_) nest(name, *value, read);
}

void Attributes::objects(std::string_view name, const ReadNested& read) {
  const auto* value = take(name);
  if (!value || value->is_null() || error_) return;
  if (!value->is_array()) {
    return refuse(invalid_input(name, quoted(*value), "Value not a valid list"));
  }
  for (const auto& entry : value->get_array()) nest(name, entry, read);
}

bool Attributes::asks(std::string_view name) {
  const auto* value = take(name);
  return value && !is_empty(*value);
}

void Attributes::unsupported(std::string_view name, std::string_view hint) {
  if (!asks(name)) return;
  refuse(unsupported_option(
      fmt::format("{} '{}' is not supported; {}", name, quoted(object_.at(name)), hint)));
}

}  // namespace sluice::api
