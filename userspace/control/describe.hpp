// Names of the model's objects for the log.
#pragma once

#include <string>

#include "model/objects.hpp"

namespace sluice::control {

// "member web1 (10.0.0.4:80) of pool 80_pool"; objects without a name go by their id.
std::string describe_member(const model::Model& model, const Uuid& member);

}  // namespace sluice::control
