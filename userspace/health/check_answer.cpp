#include "health/check_answer.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "base/printable.hpp"

namespace sluice::health {
namespace {

using Verdict = ProbeResult::Verdict;

constexpr std::string_view weight_word = "weight ";

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

// Reads "75%".
std::optional<std::uint32_t> parse_percent(std::string_view text) {
  if (!text.ends_with('%')) return std::nullopt;
  text.remove_suffix(1);
  std::uint32_t percent = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, percent);
  if (error != std::errc() || rest != end || percent > 100) return std::nullopt;
  return percent;
}

std::string shown(std::string_view line) {
  return printable(line.substr(0, longest_check_reason));
}

std::string end_of(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

}  // namespace

ProbeResult judge_check(int status, std::string_view output) {
  const bool up = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  ProbeResult result{up ? Verdict::healthy : Verdict::failed, {}};
  for (const auto line : lines_of(output)) {
    if (!up || !line.starts_with(weight_word)) {
      if (result.reason.empty()) result.reason = shown(line);
      continue;
    }
    const auto percent = parse_percent(line.substr(weight_word.size()));
    if (!percent) {
      return {Verdict::none,
              fmt::format("a check said '{}', which is not 'weight N%' with N from 0 to 100",
                          shown(line))};
    }
    result.weight_percent = *percent;
  }
  if (result.reason.empty()) {
    result.reason = end_of(status);
  } else if (!up) {
    result.reason += fmt::format(" ({})", end_of(status));
  }
  return result;
}

}  // namespace sluice::health
