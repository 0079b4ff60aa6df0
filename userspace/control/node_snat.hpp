// NodeSnat: the SNAT addresses of nodes, as this node has to treat them. Each node of a fleet has
// its own, so that a member's answer comes to the node that knows the connection, and no two nodes
// give one source port to two connections.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ip_address.hpp"

namespace sluice::control {

// What this node does for the address. It carries what comes for it in any case.
enum class SnatRole : std::uint8_t {
  owns,       // it is this node's: answers ARP, ND and pings, and announces it to routers
  replaces,   // its node is gone: does the same in its place
  succeeds,   // would replace its node: announces it to routers, which prefer the node itself
  stands_by,  // another node does all of it
};
inline bool answers(SnatRole role) {
  return role == SnatRole::owns || role == SnatRole::replaces;
}

struct NodeSnatAddress {
  std::string node;  // whose it is
  SnatRole role = SnatRole::stands_by;

  bool operator==(const NodeSnatAddress&) const = default;
};

struct NodeSnat {
  // The sources of this node's new fullnat connections, where the load balancer has none of its
  // own; none: the VIP.
  std::vector<IpAddress> own;
  std::map<IpAddress, NodeSnatAddress> addresses;  // of all nodes

  bool operator==(const NodeSnat&) const = default;
};
inline const NodeSnat no_node_snat;

}  // namespace sluice::control
