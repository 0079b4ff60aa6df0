// FailedSignIns: how often an address has guessed wrong lately. Five wrong secrets a minute, then
// it waits; a network of 2^64 IPv6 addresses is somebody's and counts as one.
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
  // Addresses that are remembered one by one; those that come when all places are taken share one.
  static constexpr std::size_t most_addresses = 4096;

  bool may_try(const IpAddress& from, Time now) const;
  void note(const IpAddress& from, Time now);

 private:
  static std::string source_of(const IpAddress& from);

  std::map<std::string, std::deque<Time>> failures_;
};

}  // namespace sluice::api
