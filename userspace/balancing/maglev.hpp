// Maglev tables: which member a hash belongs to, nearly the same when members come and go.
//
// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4.
#pragma once

#include <cstddef>
#include <vector>

#include "balancing/ring.hpp"

namespace sluice::balancing {

// A table of a prime number of slots, at least a hundred for each member up to 655. Members get
// slots in proportion to their weights. It depends on the set of shares only, not on their order:
// two load balancers with the same members have the same table.
//
// `members` is how many the pool has, those that take no connections now included: tables of
// different lengths have next to nothing in common, so a failing member must not change it. There
// are two lengths, one for up to 40 members and one for more.
std::vector<Uuid> maglev_table(std::vector<Share> shares, std::size_t members);

// How many slots the table of that many members has.
std::size_t maglev_slots(std::size_t members);

}  // namespace sluice::balancing
