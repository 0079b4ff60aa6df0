#include "model/limits.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::model {

tl::unexpected<Error> invalid_attribute(std::string_view attribute, std::string_view value,
                                        std::string_view why) {
  return fail(
      ErrorKind::invalid,
      fmt::format("Invalid input for field/attribute {}. Value: '{}'. {}", attribute, value, why));
}

bool is_name_of_check(std::string_view text) {
  const auto is_word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !text.empty() && text.size() <= max_check_name_length && is_word(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_word(c) || c == '.' || c == '_' || c == '-'; });
}

Result<void> check_range(std::string_view attribute, std::int64_t value, Range range) {
  if (value < range.lowest) {
    return invalid_attribute(attribute, fmt::to_string(value),
                             fmt::format("Value should be greater or equal to {}", range.lowest));
  }
  if (value > range.highest) {
    return invalid_attribute(attribute, fmt::to_string(value),
                             fmt::format("Value should be lower or equal to {}", range.highest));
  }
  return {};
}

Result<void> check_length(std::string_view attribute, std::string_view text, std::size_t longest) {
  // UTF-8: every byte that is not a continuation (10xxxxxx) begins a character.
  const auto characters = static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xc0) != 0x80; }));
  if (characters <= longest) return {};
  return invalid_attribute(
      attribute, text,
      fmt::format("Value should have a maximum character requirement of {}", longest));
}

}  // namespace sluice::model
