// Changes: describes as events what a request did to the objects.
#pragma once

#include <vector>

#include "api/language/event.hpp"
#include "model/objects.hpp"

namespace sluice::api {

// Compares two models: an event of kind "change" per object that was created, changed or deleted,
// with the attributes that differ. Marks of progress (provisioning_status, updated_at) don't count.
std::vector<Event> changes(const model::Model& before, const model::Model& after);

}  // namespace sluice::api
