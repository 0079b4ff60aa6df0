// The API as a pure function from request to response: the table of routes, and faults for all that
// goes wrong.
#pragma once

#include <functional>

#include "api/language/message.hpp"

namespace sluice::api {

// Gives `done` the answer. A request that may change the model is carried out in its turn, and its
// answer waits until the change is stored and applied (or says why it was not); all others are
// answered within the call, also while the disk hangs.
void answer(const Context& context, const Request& request, std::function<void(Response)> done);

// The answer as it is when all goes well with the store: for reads, and for what runs within a
// request to the controller already. Never throws: what escapes a handler is a 500 with its text in
// Response::internal_error.
Response handle(const Context& context, const Request& request);

}  // namespace sluice::api
