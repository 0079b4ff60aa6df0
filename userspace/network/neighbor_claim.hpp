// NeighborClaim: somebody on the wire says that this address is at this MAC.
#pragma once

#include "base/ip_address.hpp"
#include "network/mac_address.hpp"

namespace sluice::network {

struct NeighborClaim {
  IpAddress address;
  MacAddress mac{};

  bool operator==(const NeighborClaim&) const = default;
};

}  // namespace sluice::network
