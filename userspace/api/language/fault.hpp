// Faults: the API's refusals, in the real service's two shapes. A handler's refusal is a "fault"; a
// request that never reaches a handler (path, method, framing, size) gets an "HTTP fault".
#pragma once

#include <string>
#include <string_view>

#include "api/language/message.hpp"
#include "base/result.hpp"

namespace sluice::api {

// {"faultcode": "Client", "faultstring": "...", "debuginfo": null}; the status follows from the
// error's kind.
Response fault(const Error& error);

// {"code": 404, "title": "Not Found", "description": "..."}
Response http_fault(unsigned status, std::string description);

// The reason phrase of a status: "Not Found".
std::string_view title(unsigned status);

// A new request id: "req-" and a UUID.
std::string new_request_id();
// Says whether a client may call its request so.
bool is_request_id(std::string_view text);

// Makes an error in the API's standard words: "Invalid input for field/attribute weight. Value:
// '257'. Value should be lower or equal to 256"
Error invalid_input(std::string_view attribute, std::string_view value, std::string_view problem);

// An option that this version does not have: "Provider 'sluice' does not support a requested
// option: ..."
Error unsupported_option(std::string_view what);

// "Listener 5fa1... not found."
Error not_found(std::string_view title, std::string_view id);

// "Validation failure: ..."
Error validation_failure(std::string_view detail);

}  // namespace sluice::api
