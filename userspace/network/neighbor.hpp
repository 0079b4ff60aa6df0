// Neighbors: entries of the kernel's neighbour tables. Not for use outside network/.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "network/mac_address.hpp"
#include "network/netlink.hpp"

namespace sluice::network {

struct Neighbor {
  std::uint32_t interface_index = 0;
  IpAddress address;
  int state = 0;  // NUD_*
  std::optional<MacAddress> mac;
  std::uint32_t confirmed_milliseconds = 0;  // since it was last heard

  // Says whether the kernel never asks for it: it is an operator's entry or needs no resolution.
  bool is_fixed() const { return state & (NUD_PERMANENT | NUD_NOARP); }
};

// Finds an entry; nullopt if the kernel has none.
Result<std::optional<Neighbor>> find_neighbor(nl_sock* socket, std::uint32_t interface_index,
                                              const IpAddress& address);
// All entries of IPv4 and IPv6.
Result<std::vector<Neighbor>> all_neighbors(nl_sock* socket);

}  // namespace sluice::network
