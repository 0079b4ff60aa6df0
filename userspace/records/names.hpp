// Names: whose connection it is, by the model. Pure.
#pragma once

#include <string>

#include "base/uuid.hpp"
#include "model/objects.hpp"

namespace sluice::records {

// The ids and names of a connection's load balancer, listener, pool and member, as members of a
// JSON object: `"listener_id":"...","listener":"web",...`. What the model doesn't have any more is
// left out, but for the ids that are given; an id of zeros is none.
std::string names_as_json(const model::Model& model, const Uuid& listener, const Uuid& member);

}  // namespace sluice::records
