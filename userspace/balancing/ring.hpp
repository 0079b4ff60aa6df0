// Rings: the order in which a pool's members get new connections (smooth weighted round robin).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "base/uuid.hpp"

namespace sluice::balancing {

struct Share {
  Uuid member{};
  std::uint32_t weight = 0;  // 0: not in the ring
};

// The number of slots that the data plane takes (SLUICE_MAX_RING_SLOTS; a unit test compares the
// two).
inline constexpr std::size_t max_ring_slots = 65536;

// Makes a ring in which each member appears weight / gcd(weights) times, as evenly spread as
// possible: weights 3:1:1 give a ring of five such as A B A C A, never A A A B C. After any number
// of slots each member has had its exact share, give or take less than one slot. Weights whose sum
// exceeds `max_slots` are scaled down to fit, none below 1. Ties go to the member that comes first
// in the input, so equal input gives an equal ring.
std::vector<Uuid> smooth_ring(const std::vector<Share>& shares,
                              std::size_t max_slots = max_ring_slots);

}  // namespace sluice::balancing
