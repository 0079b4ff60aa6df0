// Reconciliation as pure functions: desired model x health -> what the maps should hold -> the
// smallest list of operations that gets there.
#pragma once

#include <set>
#include <vector>

#include "control/data_plane.hpp"
#include "model/objects.hpp"

namespace sluice::control {

// Members that new connections are kept away from, although they count as up, as long as their pool
// has others.
using Suspects = std::set<Uuid>;

// Members whose time to drain is over: what connections they still have are ended.
using Overdue = std::set<Uuid>;

// What the data plane should hold. Disabled listeners and pools are absent from it, a disabled load
// balancer's VIPs are present but down; rings hold the usable members only (backups when no other
// is usable).
DataPlaneState desired_state(const model::Model& model, const model::HealthTable& health,
                             const Suspects& suspects = {}, const Overdue& overdue = {});

// Operations that turn `actual` into `desired`, in an order that never exposes a half-built state:
// members before the rings that name them, pools before listeners, listeners before VIPs; removal
// the other way round. A member is flagged usable before it enters a ring and loses the flag after
// it left.
std::vector<Operation> diff(const DataPlaneState& desired, const DataPlaneState& actual);

}  // namespace sluice::control
