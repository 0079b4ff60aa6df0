// Provisioning: what came of an attempt to bring the data plane in line, written into the objects.
#pragma once

#include <optional>
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
  std::vector<Refusal> refusals;    // what the data plane lacks now
  std::optional<Error> unreadable;  // it could not even be read: nobody knows
  // What is unreadable all the same counts as a change that was refused (a test's hook).
  bool counts_as_refused = false;
};

// Objects whose entries the data plane holds become ACTIVE (those that were PENDING_* or ERROR). An
// object whose entry it refused becomes ERROR with the reason, and so does its load balancer; when
// a refusal belongs to no object any more (a removal), the load balancers that are pending answer
// for it. Unreadable: whatever is pending becomes ERROR. updated_at of whatever settles is `now`:
// the real service writes the row then, and clients wait for it. A load balancer that was pending
// when it was refused is marked change_failed; one that became ERROR on its own, or because nothing
// could be read, is not, and takes the changes that mend it. Returns one line per object that
// became ERROR or ACTIVE again. `changed` (may be null) is set when any object is another one now.
std::vector<std::string> settle_provisioning(model::Model& model, const Attempt& attempt,
                                             const DataPlaneState& actual, model::Timestamp now,
                                             bool* changed = nullptr);

// Is any object not ACTIVE?
bool any_unsettled(const model::Model& model);

}  // namespace sluice::control
