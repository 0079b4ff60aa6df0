// ChangeFilter: tells which kernel notifications can make a cached next hop wrong. Pure.
//
// The kernel notifies of much more: every neighbour goes round REACHABLE, STALE, DELAY and PROBE
// with the same MAC all day, and links report statistics and promiscuity. The filter remembers what
// it has seen and passes what differs. A neighbour that fails or disappears is not a change,
// because there is no better MAC to find (another route has its own notification). It is
// remembered, so its return with the same MAC is no change either.
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
  // Returns true if the link was known.
  bool link_gone(std::uint32_t index);

  // Notes a valid neighbour entry; returns true if its MAC is new or has changed.
  bool neighbor(std::uint32_t index, const IpAddress& address, const MacAddress& mac);

  // When there are more neighbours than this, all are forgotten, which is a change.
  static constexpr std::size_t max_neighbors = 65536;

 private:
  std::map<std::uint32_t, LinkFacts> links_;
  std::map<std::pair<std::uint32_t, IpAddress>, MacAddress> neighbors_;
};

}  // namespace sluice::network
