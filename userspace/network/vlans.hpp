// The VLAN interfaces of this network namespace, as the kernel lists them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sluice::network {

struct VlanInterface {
  std::uint32_t index = 0;
  std::string name;
  std::uint32_t parent = 0;  // the interface that it is on top of
  std::uint16_t id = 0;
  std::uint16_t ethertype = 0;  // 0x8100 (802.1Q) or 0x88a8 (802.1ad)
};

Result<std::vector<VlanInterface>> vlan_interfaces();

}  // namespace sluice::network
