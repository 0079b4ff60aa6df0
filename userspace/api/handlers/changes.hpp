// Changes: what a request did to the objects, as events.
#pragma once

#include <vector>

#include "api/language/events.hpp"
#include "model/objects.hpp"

namespace sluice::api {

// What led from one model to the other: an event of kind "change" per object that was created,
// changed or deleted, with the attributes that differ. Marks of progress (provisioning_status,
// updated_at) are none.
std::vector<Event> changes(const model::Model& before, const model::Model& after);

}  // namespace sluice::api
