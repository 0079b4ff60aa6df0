// Succession: which node does what for the nodes' SNAT addresses. Each node finds it for itself,
// and all find the same from the same. Pure.
#pragma once

#include <map>
#include <set>
#include <string>

#include "control/node_snat.hpp"
#include "fleet/roster.hpp"

namespace sluice::fleet {

// How a node is, as far as another one knows.
enum class Condition {
  serves,      // all is well
  hands_over,  // it is being drained: it does its own part, and takes nobody's place
  retired,     // it says that packets should go elsewhere
  silent,      // nothing is heard of it, or it lacks the others' connections yet
};
Condition condition_of(const NodeEntry& node);

// The one of the candidates that takes the node's place; empty: there is none.
std::string successor_of(const std::string& node, const std::set<std::string>& candidates);

struct Surroundings {
  std::string node;                         // this one
  std::map<IpAddress, std::string> owners;  // of the SNAT addresses
  std::map<std::string, Condition> nodes;   // those that are left out are silent
  std::set<std::string> candidates;         // to take another node's place, if they serve
  // Silent nodes whose addresses nobody on the link answers for. The others may only be cut off
  // from us, while their data planes go on.
  std::set<std::string> absent;
  // Another node answers for the addresses of this one, which is cut off from the fleet.
  bool is_displaced = false;
};

// The node that should take the place of `node`: a candidate that serves.
std::string successor_of(const std::string& node, const Surroundings& all);

// What this node does for each address. `present`: what it has done so far, which it goes on doing
// with its own addresses while it is silent itself.
std::map<IpAddress, control::NodeSnatAddress> snat_roles(
    const Surroundings& all, const std::map<IpAddress, control::NodeSnatAddress>& present);

}  // namespace sluice::fleet
