// TurnTimes: how much CPU time each turn of an event loop took. An eviction may have to wait for
// one turn. Wall time would also count what the machine's other work takes.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <numeric>

namespace sluice {

class TurnTimes {
 public:
  static constexpr std::array limits = {
      std::chrono::milliseconds(1),   std::chrono::milliseconds(2),
      std::chrono::milliseconds(5),   std::chrono::milliseconds(10),
      std::chrono::milliseconds(20),  std::chrono::milliseconds(50),
      std::chrono::milliseconds(100), std::chrono::milliseconds(200),
      std::chrono::milliseconds(500), std::chrono::milliseconds(1000)};

  void add(std::chrono::nanoseconds took) {
    const auto bucket = std::ranges::lower_bound(limits, took);
    counts_[static_cast<std::size_t>(bucket - limits.begin())]++;
    sum_ += took;
    longest_ = std::max(longest_, took);
  }

  // Turns by the first limit that they did not exceed; the last count has those that exceeded all
  // limits.
  const std::array<std::uint64_t, limits.size() + 1>& counts() const { return counts_; }
  // All turns, and those that took longer than `limit`, which is one of `limits`.
  std::uint64_t turns() const { return std::reduce(counts_.begin(), counts_.end()); }
  std::uint64_t longer_than(std::chrono::nanoseconds limit) const {
    const auto within = std::ranges::upper_bound(limits, limit) - limits.begin();
    return std::reduce(counts_.begin() + within, counts_.end());
  }
  std::chrono::nanoseconds sum() const { return sum_; }
  std::chrono::nanoseconds longest() const { return longest_; }

 private:
  std::array<std::uint64_t, limits.size() + 1> counts_{};
  std::chrono::nanoseconds sum_{}, longest_{};
};

}  // namespace sluice
