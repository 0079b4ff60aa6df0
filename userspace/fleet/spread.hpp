// Spread: which nodes probe a member, where each is probed by a few of them only. Pure.
//
// Every node finds the same ones without asking: those whose names, hashed together with the
// member's id, come first (rendezvous hashing). So when a node comes or goes, only the members that
// it gets or had are probed by others than before.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "base/uuid.hpp"

namespace sluice::fleet {

// The least number with a majority that one broken path does not turn.
constexpr std::size_t probers_of_a_member = 3;

// Of these nodes, those that probe the member, by name. All of them if there are no more than that.
std::vector<std::string> probers(const Uuid& member, const std::set<std::string>& nodes);

}  // namespace sluice::fleet
