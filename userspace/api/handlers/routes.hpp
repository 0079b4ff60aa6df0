// Routes: the API as a pure function from request to response, with faults for all that goes wrong.
#pragma once

#include <functional>

#include "api/language/message.hpp"

namespace sluice::api {

// Gives `done` the answer. A request that may change the model waits for its turn, and its answer
// until the change is stored and applied, or has failed. All others are answered within the call,
// even while the disk hangs.
void answer(const Context& context, const Request& request, std::function<void(Response)> done);

// Carries the request out at once, without answer()'s wait for its turn and for the store: for
// reads, and within a change that runs already. Never throws: an exception of a handler becomes a
// 500 with its text in Response::internal_error.
Response handle(const Context& context, const Request& request);

}  // namespace sluice::api
