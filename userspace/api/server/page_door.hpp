// PageDoor: /ui/session, where a browser signs in to the status page, and out.
//
//   GET      {"who": "alice" or null, "token": whether one is needed to sign in, "session": bool}
//   POST     {"token": "..."} opens a session: 204 with its cookie, or 401, 403
//   DELETE   ends it
//
// The body must be JSON, which a foreign page can't send (access.hpp). No answer has a session's
// word but in the cookie, which scripts can't read.
#pragma once

#include <optional>

#include "api/language/message.hpp"
#include "api/server/access.hpp"

namespace sluice::api {

struct DoorAnswer {
  Response response;
  // For the log: who was refused, or who has signed in.
  std::optional<Denial> denial = {};
  std::string name = {};
};

DoorAnswer answer_at_door(const Access& access, const Request& request);

}  // namespace sluice::api
