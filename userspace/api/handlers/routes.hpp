// The API as a pure function from request to response: the table of routes, and faults for all that
// goes wrong.
#pragma once

#include "api/language/message.hpp"

namespace sluice::api {

// Never throws: what escapes a handler is a 500 with its text in Response::internal_error.
Response handle(const Context& context, const Request& request);

}  // namespace sluice::api
