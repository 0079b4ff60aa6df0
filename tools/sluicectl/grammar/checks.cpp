#include "sluicectl/grammar/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice::ctl {
namespace {

using Words = std::vector<std::string>;

std::optional<std::string> not_a_number(const Option& option, const std::string& text) {
  const auto* end = text.data() + text.size();
  bool good = true;
  if (option.kind == Kind::integer) {
    std::int64_t value;
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    good = error == std::errc() && stop == end;
  } else if (option.kind == Kind::decimal) {
    double value;
    const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    good = error == std::errc() && stop == end;
  }
  if (good) return std::nullopt;
  return fmt::format("--{} wants a number, not '{}'", option.name, text);
}

std::optional<std::string> not_ports(const Option& option, const std::string& text) {
  if (option.kind != Kind::ports || ports_in(text)) return std::nullopt;
  return fmt::format("--{} wants a port or FIRST-LAST, not '{}'", option.name, text);
}

std::optional<std::string> not_pairs(const Option& option, const std::string& text) {
  if (option.kind != Kind::pairs && option.kind != Kind::pairs_list) return std::nullopt;
  bool good = !text.empty();
  for (std::size_t at = 0; good && at <= text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    const auto equals = text.find('=', at);
    good = equals > at && equals < end;
    at = end + 1;
  }
  if (good) return std::nullopt;
  return fmt::format("--{} wants KEY=VALUE[,KEY=VALUE], not '{}'", option.name, text);
}

std::optional<std::string> violation(const Group& group, const Invocation& invocation) {
  Words given;
  Words all;
  for (const auto& option : group.options) {
    all.push_back("--" + option);
    if (invocation.has(option)) given.push_back("--" + option);
  }
  if (group.at_most_one && given.size() > 1)
    return fmt::format("{} exclude each other", fmt::join(given, " and "));
  if (group.at_least_one && given.empty())
    return fmt::format("one of {} is needed", fmt::join(all, ", "));
  return std::nullopt;
}

std::optional<std::string> bad_output(const Noun& noun, const Verb& verb,
                                      const Invocation& invocation) {
  if (const auto format = invocation.value("format");
      invocation.has("format") && !parse_format(format))
    return fmt::format("unknown format '{}': table, value, json, yaml and csv are known", format);
  const auto known = columns_of(noun, verb);
  for (const auto* option : {"column", "sort-column"})
    for (const auto& column : invocation.values(option))
      if (std::find(known.begin(), known.end(), column) == known.end())
        return fmt::format("no column is named '{}': there are {}", column, fmt::join(known, ", "));
  if (invocation.has("sort-ascending") && invocation.has("sort-descending"))
    return "--sort-ascending and --sort-descending exclude each other";
  return std::nullopt;
}

bool is_local(const Option& option) {
  return option.kind == Kind::local && !option.takes_value();
}

// Refuses a `set` that sets nothing.
std::optional<std::string> nothing_to_change(const Verb& verb, const Invocation& invocation) {
  if (verb.name != "set" && verb.name != "unset") return std::nullopt;
  Words names;
  for (const auto& option : verb.options) {
    if (is_local(option)) continue;
    if (invocation.has(option.name)) return std::nullopt;
    names.push_back("--" + option.name);
  }
  if (names.empty()) return std::nullopt;
  return fmt::format("nothing to {}: give one of {}", verb.name, fmt::join(names, ", "));
}

}  // namespace

std::optional<Ports> ports_in(std::string_view text) {
  Ports ports;
  const auto* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, ports.first);
  if (error != std::errc()) return std::nullopt;
  if (stop == end) return ports;
  if (*stop != '-') return std::nullopt;
  std::int64_t last = 0;
  const auto second = std::from_chars(stop + 1, end, last);
  if (second.ec != std::errc() || second.ptr != end || last < 0) return std::nullopt;
  ports.last = last;
  return ports;
}

std::optional<std::string> problem(const Invocation& invocation) {
  const auto& verb = *invocation.verb;
  Words missing;
  for (const auto& option : verb.options) {
    if (option.mandatory && !invocation.has(option.name)) missing.push_back("--" + option.name);
    for (const auto& value : invocation.values(option.name))
      if (auto wrong = not_a_number(option, value);
          wrong || (wrong = not_ports(option, value)) || (wrong = not_pairs(option, value)))
        return wrong;
  }
  if (missing.size() == 1) return missing.front() + " is missing";
  if (!missing.empty()) return fmt::format("{} are missing", fmt::join(missing, ", "));
  for (const auto& group : verb.groups)
    if (auto wrong = violation(group, invocation)) return wrong;
  if (auto wrong = nothing_to_change(verb, invocation)) return wrong;
  return bad_output(*invocation.noun, verb, invocation);
}

}  // namespace sluice::ctl
