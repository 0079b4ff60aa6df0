// Store age: is what was stored still what the data plane was filled from? A database without its
// WAL, an old copy of it, or a state directory with a typo in its name would take VIPs away
// otherwise.
#pragma once

#include "base/result.hpp"
#include "control/data_plane.hpp"
#include "store/store.hpp"

namespace sluice::control {

// ErrorKind::conflict, with what would be lost, when the data plane carries objects and was filled
// from a later state of this store, from another store, or (nobody has noted from which) from one
// that held more than nothing. `carried` is what the data plane has noted.
Result<void> check_store_age(const store::Contents& stored, const store::Position& carried,
                             const DataPlaneState& present);

}  // namespace sluice::control
