// Store age: checks that the store is not older than the data plane's contents. Otherwise a
// database without its WAL, an old copy of it, or a state directory with a typo in its name would
// remove VIPs.
#pragma once

#include "base/result.hpp"
#include "control/data_plane.hpp"
#include "store/store.hpp"

namespace sluice::control {

// ErrorKind::conflict, with what would be lost, if the data plane has objects and was filled from a
// later state of this store, from another store, or from an unknown store while this one is empty.
// `carried` is the position that the data plane has noted.
Result<void> check_store_age(const store::Contents& stored, const store::Position& carried,
                             const DataPlaneState& present);

}  // namespace sluice::control
