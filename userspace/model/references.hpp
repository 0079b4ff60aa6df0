// References: does every object's parent exist? Edits keep it so; a store that was damaged, or
// edited by hand, may not.
#pragma once

#include "base/result.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// ErrorKind::internal that names the first object whose parent, or whose listener's pool, is
// missing.
Result<void> check_references(const Model& model);

}  // namespace sluice::model
