#include "sluicectl/grammar/spelling.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace sluice::ctl {
namespace {

// Levenshtein's distance: the insertions, deletions and replacements that turn one word into the
// other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(std::string_view typed, const std::vector<std::string>& known) {
  std::string best;
  auto best_distance = std::max<std::size_t>(1, typed.size() / 3) + 1;
  for (const auto& word : known) {
    if (typed.size() >= 3 && word.starts_with(typed)) return word;  // "stats" for "stats show"
    const auto d = distance(typed, word);
    if (d < best_distance) {
      best_distance = d;
      best = word;
    }
  }
  return best;
}

}  // namespace sluice::ctl
