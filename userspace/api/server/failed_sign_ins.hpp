// FailedSignIns: counts an address's wrong guesses. After five in a minute it must wait; an IPv6
// /64 counts as one address.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <string>

#include "base/ip_address.hpp"

namespace sluice::api {

class FailedSignIns {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t most = 5;
  static constexpr std::chrono::minutes span{1};
  // So many addresses are counted one by one; further ones share one place.
  static constexpr std::size_t most_addresses = 4096;

  bool may_try(const IpAddress& from, Time now) const;
  void note(const IpAddress& from, Time now);

 private:
  static std::string source_of(const IpAddress& from);

  std::map<std::string, std::deque<Time>> failures_;
};

}  // namespace sluice::api
