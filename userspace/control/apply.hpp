// Apply: carries out operations one by one and keeps track of the data plane's state.
#pragma once

#include <vector>

#include "control/data_plane.hpp"
#include "control/provisioning.hpp"

namespace sluice::control {

// Applies `operations` in order and notes in `actual` what succeeded. After a refusal the rest goes
// on as far as it can without it: rings leave out members that are not there, and an operation that
// would leave a name without an object is refused in turn.
std::vector<Refusal> apply_all(DataPlane& data_plane, const std::vector<Operation>& operations,
                               DataPlaneState& actual);

}  // namespace sluice::control
