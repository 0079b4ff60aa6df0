// Throttle: passes a few events of a kind per span of time and counts the rest, so that nobody can
// fill a log from outside.
#pragma once

#include <chrono>
#include <cstddef>
#include <utility>

namespace sluice::api {

class Throttle {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Throttle(std::size_t most, std::chrono::seconds span) : most_(most), span_(span) {}

  struct Verdict {
    bool pass = false;
    std::size_t kept_back = 0;  // since the last one that passed
  };
  Verdict ask(Time now) {
    if (now - begun_ >= span_) {
      begun_ = now;
      passed_ = 0;
    }
    if (passed_ == most_) {
      ++kept_back_;
      return {};
    }
    ++passed_;
    return {true, std::exchange(kept_back_, 0)};
  }

 private:
  std::size_t most_;
  std::chrono::seconds span_;
  Time begun_{};
  std::size_t passed_ = 0, kept_back_ = 0;
};

}  // namespace sluice::api
