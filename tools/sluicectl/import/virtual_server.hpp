// Virtual servers: the kernel's IPVS terms, which ipvsadm and keepalived share.
#pragma once

#include <string>
#include <vector>

#include "sluicectl/import/draft.hpp"

namespace sluice::ctl {

// The pool's algorithm for an IPVS scheduler; a comment if it differs.
std::string algorithm_of(Draft& draft, Directive& directive, const std::string& scheduler,
                         const std::vector<std::string>& flags);

// Whether the scheduler ignores weights, so that every member has weight 1 or 0.
bool ignores_weights(const std::string& scheduler);

// Persistence of so many seconds and, unless it is empty, with this mask or prefix length.
void set_persistence(Draft& draft, Directive& directive, Item& pool, const std::string& seconds,
                     const std::string& mask);

// One-packet scheduling ("ops"): the listener's datagrams are balanced one by one. A comment if it
// has none, or if the members' answers need one.
void set_one_packet(Draft& draft, Directive& directive, Item& listener, const std::string& mode);

// Sets the weight; larger ones than Sluice's are cut, with a comment.
void set_weight(Draft& draft, Directive& directive, Item& member, std::int64_t weight);

}  // namespace sluice::ctl
