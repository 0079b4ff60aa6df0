// References: checks that every object's parent exists. Edits ensure that; a damaged store, or one
// that was edited by hand, may not.
#pragma once

#include "base/result.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// ErrorKind::internal names the first object whose parent, or whose listener's pool, is missing.
Result<void> check_references(const Model& model);

}  // namespace sluice::model
