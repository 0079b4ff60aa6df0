// ProbeObject: the BPF programs that lead probes to the VIP at a member (bpf/probe.bpf.c), with
// maps of their own.
#pragma once

#include <cstdint>

#include "base/fd.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice::kernel {

class Program;

struct ProbeObject {
  UniqueFd egress;
  UniqueFd ingress;
  UniqueFd probes;  // by struct sluice_probe_key

  // A socket's packets; of a socket that sends pings those with this identifier and sequence number
  // (as they lie in the packet), which are 0 otherwise.
  struct Packets {
    std::uint64_t cookie = 0;
    std::uint32_t echo = 0;
  };
  enum class Way { link, ipip, gue };
  // Has packets of this protocol (IPPROTO_*) to the member go to the VIP there, until forget().
  Result<void> lead(const Packets& packets, std::uint8_t protocol, const IpAddress& member,
                    const IpAddress& vip, Way way) const;
  // Says whether one has.
  bool has_led(const Packets& packets) const;
  void forget(const Packets& packets) const;

  // `maps`: those of the data plane, whose tunnel_sources tunnels of probes have, too.
  static Result<ProbeObject> load(const Program& maps);
};

}  // namespace sluice::kernel
