// SctpProber: SCTP probes. Each sends an INIT. An INIT ACK means healthy and is answered by an
// ABORT, so that no association comes of it; an ABORT is a failure at once.
//
// The packets go through a raw socket, as in the real service, because the kernel that probes often
// has no SCTP.
#pragma once

#include <memory>
#include <random>
#include <tl/expected.hpp>
#include <unordered_map>

#include "health/probe.hpp"
#include "health/raw_socket.hpp"
#include "health/sctp_packet.hpp"

namespace sluice::health {

class SctpProber {
 public:
  explicit SctpProber(Poller& poller);

  // The SctpProber must outlive the probe.
  tl::expected<std::unique_ptr<Probe>, ProbeResult> start(const Endpoint& member, Probe::Done done);

 private:
  class Association;

  void received(const IpAddress& from, RawSocket::Bytes packet);
  std::uint32_t new_tag();

  Poller& poller_;
  RawSocket v4_, v6_;
  std::mt19937 random_{std::random_device{}()};
  const std::uint16_t source_port_;
  std::unordered_map<std::uint32_t, Association*> waiting_;  // by the tag of its INIT
};

}  // namespace sluice::health
