// UDP-CONNECT probe. UDP has no connections, so a member can only say "nobody listens on that
// port".
//
// One datagram goes out (an 'X', as the real service's nc sends). An ICMP error is a failure at
// once; any answer, or none within the time, is healthy.
#pragma once

#include <memory>
#include <optional>

#include "health/poller.hpp"
#include "health/probe.hpp"
#include "health/socket.hpp"

namespace sluice::health {

class UdpProbe final : public Probe, private Poller::Handler {
 public:
  using Probe::Probe;

  // Connects; returns a result if the probe can't begin.
  std::optional<ProbeResult> connect(Poller& poller, const Endpoint& member, const Lead& lead = {});

  ProbeResult timed_out(std::chrono::milliseconds time) const override;

 private:
  void ready(std::uint32_t events) override;

  Socket socket_;
};

}  // namespace sluice::health
