// Rendezvous hashing: each node has a rank for each subject, and the lowest ones are chosen. So
// when a node comes or goes, only what it has or had moves. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::fleet {

// It may not change: nodes of two releases must agree.
std::uint64_t rank(std::string_view node, std::string_view subject);

}  // namespace sluice::fleet
