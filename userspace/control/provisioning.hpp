// Provisioning: writes the outcome of an attempt to apply into the objects.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/data_plane.hpp"
#include "model/objects.hpp"

namespace sluice::control {

// An operation that was not carried out, and why.
struct Refusal {
  Operation operation;
  Error error;
};

struct Attempt {
  std::vector<Refusal> refusals;    // operations that the data plane lacks
  std::optional<Error> unreadable;  // it could not be read, so its state is unknown
  // An unreadable state counts as a change that was refused (for a test's hook).
  bool counts_as_refused = false;
  // Load balancers that stay PENDING_* although the data plane holds their entries.
  std::set<Uuid> unfinished = {};
  // Monitors that this node can't carry out, and why: ERROR, and nothing but them.
  std::map<Uuid, std::string> impossible = {};
};

// Makes PENDING_* and ERROR objects whose entries the data plane holds ACTIVE. An object whose
// entry it refused becomes ERROR with the reason, and so does its load balancer; if the refusal
// belongs to no object any more (a removal), the load balancers that are pending become ERROR. If
// the data plane is unreadable, whatever is pending becomes ERROR. updated_at of an object that
// settles is `now`, because the real service writes the row then and clients wait for it; nullopt:
// whoever made the change has set it. A load balancer that was
// pending when it was refused is marked change_failed. One that became ERROR on
// its own, or because nothing could be read, is not, so it takes the changes that mend it. Returns
// one line per object that became ERROR or ACTIVE again. `changed` (may be null) is set if any
// object has changed.
std::vector<std::string> settle_provisioning(model::Model& model, const Attempt& attempt,
                                             const DataPlaneState& actual,
                                             std::optional<model::Timestamp> now,
                                             bool* changed = nullptr);

// Says whether any object is not ACTIVE.
bool any_unsettled(const model::Model& model);

}  // namespace sluice::control
