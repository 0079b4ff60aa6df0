#include "fleet/succession.hpp"

#include <algorithm>

#include "fleet/rendezvous.hpp"

namespace sluice::fleet {
namespace {

using control::NodeSnatAddress;
using control::SnatRole;

Condition condition_in(const Surroundings& all, const std::string& node) {
  const auto found = all.nodes.find(node);
  return found == all.nodes.end() ? Condition::silent : found->second;
}

SnatRole role_of_own(const Surroundings& all, const std::string& successor,
                     const NodeSnatAddress* present) {
  if (all.is_displaced) return SnatRole::stands_by;
  if (successor.empty()) return SnatRole::owns;
  switch (condition_in(all, all.node)) {
    case Condition::serves:
    case Condition::hands_over:
      return SnatRole::owns;
    case Condition::retired:
      return SnatRole::stands_by;
    case Condition::silent:
      break;
  }
  return present ? present->role : SnatRole::stands_by;
}

SnatRole role_of_other(const Surroundings& all, const std::string& owner,
                       const std::string& successor) {
  if (successor != all.node) return SnatRole::stands_by;
  switch (condition_in(all, owner)) {
    case Condition::retired:
      return SnatRole::replaces;
    case Condition::silent:
      return all.absent.contains(owner) ? SnatRole::replaces : SnatRole::succeeds;
    case Condition::serves:
    case Condition::hands_over:
      break;
  }
  return SnatRole::succeeds;
}

}  // namespace

// A node that doesn't say is of a version that has no SNAT addresses.
Condition condition_of(const NodeEntry& node) {
  const auto& state = node.announcing.state;
  if (state == "DRAINED" || state == "WITHDRAWN") return Condition::retired;
  if (state == "DRAINING") return Condition::hands_over;
  return state == "JOINING" ? Condition::silent : Condition::serves;
}

std::string successor_of(const std::string& node, const std::set<std::string>& candidates) {
  const auto first = std::ranges::min_element(
      candidates, {}, [&node](const std::string& candidate) { return rank(candidate, node); });
  return first == candidates.end() ? std::string() : *first;
}

std::string successor_of(const std::string& node, const Surroundings& all) {
  std::set<std::string> serving;
  for (const auto& candidate : all.candidates) {
    if (candidate != node && condition_in(all, candidate) == Condition::serves)
      serving.insert(candidate);
  }
  return successor_of(node, serving);
}

std::map<IpAddress, NodeSnatAddress> snat_roles(
    const Surroundings& all, const std::map<IpAddress, NodeSnatAddress>& present) {
  std::map<IpAddress, NodeSnatAddress> roles;
  for (const auto& [address, owner] : all.owners) {
    const auto successor = successor_of(owner, all);
    const auto before = present.find(address);
    const auto role =
        owner == all.node
            ? role_of_own(all, successor, before == present.end() ? nullptr : &before->second)
            : role_of_other(all, owner, successor);
    roles.emplace(address, NodeSnatAddress{owner, role});
  }
  return roles;
}

}  // namespace sluice::fleet
