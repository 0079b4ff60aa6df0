// Maglev tables: they assign members to hashes, and change little when members come and go.
//
// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, 3.4.
#pragma once

#include <cstddef>
#include <vector>

#include "balancing/ring.hpp"

namespace sluice::balancing {

// Makes a table of a prime number of slots, at least a hundred for each of up to 655 members.
// Members get slots in proportion to their weights. It depends on the set of shares only, not on
// their order: two load balancers with the same members have the same table.
//
// `members` is the number of all members of the pool, including those that take no connections now.
// It decides the table's length: one length for up to 40 members and one for more. Tables of
// different lengths have next to nothing in common, so a failing member must not change it.
std::vector<Uuid> maglev_table(std::vector<Share> shares, std::size_t members);

// The number of slots in the table for that many members.
std::size_t maglev_slots(std::size_t members);

}  // namespace sluice::balancing
