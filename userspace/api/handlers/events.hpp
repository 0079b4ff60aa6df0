// GET /v1/events: reads events.
//
//   after=N    the oldest events after number N; without it, the newest events
//   before=N   only events with a lower number, to page back
//   limit=N    at most so many events (1000)
//   wait=S     with `after`: if there is no event, waits for one, S seconds at most (30)
//   kind=, type=, object=   only one kind, one type of object, one object (id or name)
//   request_id=ID   only what this request did, or that it was refused
//
// answers {"events": [...], "last": NUMBER}, in the order in which they were shown. A client that
// follows the list sends `last` as `after`.
#pragma once

#include <functional>

#include "api/language/message.hpp"

namespace sluice::api {

// Says whether this is a request for events.
bool asks_for_events(const Request& request);

// Answers it at once, or when the store has found older events, or when something happens.
void answer_with_events(const Context& context, const Request& request,
                        std::function<void(Response)> done);

}  // namespace sluice::api
