// Scheduler: a clock that stands still while nothing happens, and dice. The same seed gives the
// same run.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <utility>

namespace sluice::fleet::test {

using Time = std::chrono::milliseconds;

class Scheduler {
 public:
  explicit Scheduler(std::uint64_t seed) : dice_(seed) {}

  Time now() const { return now_; }
  void at(Time time, std::function<void()> what) {
    queue_.emplace(std::pair(std::max(time, now_), count_++), std::move(what));
  }
  void after(Time wait, std::function<void()> what) { at(now_ + wait, std::move(what)); }

  void run_until(Time end) {
    while (!queue_.empty() && queue_.begin()->first.first <= end) {
      auto next = queue_.extract(queue_.begin());
      now_ = next.key().first;
      next.mapped()();
    }
    now_ = end;
  }

  // A number from 0 to below.
  std::uint64_t below(std::uint64_t limit) { return dice_() % limit; }
  bool chance(unsigned percent) { return below(100) < percent; }
  Time between(int least, int most) {
    return Time(least + static_cast<int>(below(static_cast<std::uint64_t>(most - least) + 1)));
  }

 private:
  Time now_{0};
  std::uint64_t count_ = 0;
  std::multimap<std::pair<Time, std::uint64_t>, std::function<void()>> queue_;
  std::mt19937_64 dice_;
};

}  // namespace sluice::fleet::test
