#include "health/expected_codes.hpp"

#include <algorithm>
#include <charconv>

namespace sluice::health {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<unsigned> parse_code(std::string_view text) {
  constexpr std::size_t digits = 3;
  unsigned code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  if (text.size() != digits || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return code;
}

}  // namespace

std::optional<ExpectedCodes> ExpectedCodes::parse(std::string_view text) {
  ExpectedCodes codes;
  if (const auto dash = text.find('-'); dash != std::string_view::npos) {
    const auto first = parse_code(text.substr(0, dash));
    const auto last = parse_code(text.substr(dash + 1));
    if (!first || !last) return std::nullopt;
    codes.ranges_.emplace_back(*first, *last);
    return codes;
  }
  for (;;) {
    const auto comma = text.find(',');
    const auto code = parse_code(trim(text.substr(0, comma)));
    if (!code) return std::nullopt;
    codes.ranges_.emplace_back(*code, *code);
    if (comma == std::string_view::npos) return codes;
    text.remove_prefix(comma + 1);
  }
}

bool ExpectedCodes::contains(unsigned code) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [code](const auto& range) {
    return range.first <= code && code <= range.second;
  });
}

}  // namespace sluice::health
