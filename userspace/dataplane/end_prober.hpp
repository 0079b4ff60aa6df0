// EndProber: makes the ends of connections that are over speak, so that the data plane can reset
// them.
//
// A reset is believed only with the right number, which nobody here knows, and which its receiver
// tells: it answers an acknowledgement outside its window with one of its own, that has its present
// numbers (RFC 9293, 3.10.7.4). The data plane answers that with a reset (bpf/forward.h,
// give_up()). Connections are over when their listener's idle time, which ends with resets, is
// over, or their member is given up; the sweep has taken their next hop away.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/fd.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"
#include "maps/member.h"

namespace sluice::dataplane {

// An acknowledgement to one end of a connection, in the name of the other one.
struct EndProbe {
  IpAddress from, to;
  std::uint16_t from_port = 0, to_port = 0;

  bool operator==(const EndProbe&) const = default;
};

// Returns what makes the client and the member of a forward slot speak. `member` is unset where the
// member answers the client directly: its answer would not pass here.
struct EndProbes {
  EndProbe client;
  std::optional<EndProbe> member;
};
EndProbes end_probes(const sluice_flow4& slot);
// `member`: the slot's own; it tells what the slot leaves out (maps/flow.h).
EndProbes end_probes(const sluice_flow6& slot, const sluice_member& member);

// Returns the packet, from its IP header on; the kernel puts in the IPv4 header's checksum.
std::vector<std::uint8_t> packet_of(const EndProbe& probe, std::uint32_t sequence,
                                    std::uint32_t acknowledgement);

class EndProber {
 public:
  // So many connections are probed at a time at most; the next ones follow with the next call. With
  // a call per sweep (every 5 seconds) these are 200 a second, and 4,000 while short sweeps (every
  // 0.25 seconds) find more connections that are over.
  static constexpr std::size_t most_at_a_time = 1000;

  // Probes connections that are over; does nothing where there can't be any. Returns their number.
  Result<std::size_t> probe(const kernel::Program& program);

 private:
  Result<void> send(const EndProbe& probe);
  Result<int> socket(bool ipv6);

  std::size_t skip_ = 0;  // of the connections that are over: probed lately
  UniqueFd sockets_[2];
};

}  // namespace sluice::dataplane
