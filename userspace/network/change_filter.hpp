// ChangeFilter: which kernel notifications can make a cached next hop wrong. Pure.
//
// The kernel tells of much more than that: every neighbour goes round REACHABLE, STALE, DELAY,
// PROBE with the same MAC all day, links report statistics and promiscuity. The filter remembers
// what it has seen and lets through what differs. A neighbour that fails or disappears is not a
// change: there is no better MAC to find (if there is another route, that has its own
// notification), and it is remembered, so that its return with the same MAC is none either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/ip_address.hpp"
#include "network/mac_address.hpp"

namespace sluice::network {

struct LinkFacts {
  std::optional<MacAddress> mac;  // nullopt: no Ethernet
  bool running = false;           // up, with carrier
  std::uint32_t mtu = 0;
  std::uint32_t master = 0;  // bridge, bond or VRF that it belongs to; 0: none

  bool operator==(const LinkFacts&) const = default;
};

class ChangeFilter {
 public:
  enum class LinkChange {
    none,
    next_hops,  // MTU, master, went down
    identity,   // new, another MAC, or running again: whoever had learned its MAC should hear it
                // anew
  };
  LinkChange link(std::uint32_t index, const LinkFacts& facts);
  // True when the link was known.
  bool link_gone(std::uint32_t index);

  // A valid neighbour entry; true when its MAC is new or another one.
  bool neighbor(std::uint32_t index, const IpAddress& address, const MacAddress& mac);

  // More neighbours than this are forgotten all at once, which is a change.
  static constexpr std::size_t max_neighbors = 65536;

 private:
  std::map<std::uint32_t, LinkFacts> links_;
  std::map<std::pair<std::uint32_t, IpAddress>, MacAddress> neighbors_;
};

}  // namespace sluice::network
