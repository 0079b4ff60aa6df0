// Pinger: PING probes. A member is healthy if it answers one ICMP echo, IPv4 or IPv6.
#pragma once

#include <memory>
#include <random>
#include <tl/expected.hpp>
#include <unordered_map>

#include "health/probe.hpp"
#include "health/raw_socket.hpp"

namespace sluice::health {

class Pinger {
 public:
  explicit Pinger(Poller& poller);

  // The Pinger must outlive the probe.
  tl::expected<std::unique_ptr<Probe>, ProbeResult> start(const IpAddress& member, Probe::Done done,
                                                          const Lead& lead = {});

 private:
  class Ping;

  tl::expected<RawSocket*, int> socket_for(const IpAddress& member);
  void received(const IpAddress& from, RawSocket::Bytes packet);

  Poller& poller_;
  RawSocket v4_, v6_;
  std::mt19937_64 random_{std::random_device{}()};
  // Every echo carries this, so that replies to another program's echoes are told from ours.
  const std::uint64_t secret_ = random_();
  std::uint32_t next_ = static_cast<std::uint32_t>(random_());
  std::unordered_map<std::uint32_t, Ping*>
      waiting_;  // by the echo's identifier and sequence number
};

}  // namespace sluice::health
