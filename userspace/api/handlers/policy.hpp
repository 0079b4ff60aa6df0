// Policy: decides what a caller's role may see and change.
//
// An administrator may do everything; a reader sees everything and changes nothing; a member sees
// and changes the objects of its project, and nothing of the node itself (flows, captures,
// counters); of the events those of its project.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/language/message.hpp"
#include "base/result.hpp"
#include "model/objects.hpp"

namespace sluice::api {

// ErrorKind::forbidden if the caller's role may not use the route with this pattern.
Result<void> check_route(const Request& request, std::string_view pattern);

// Says whether the caller may see the project.
bool may_see_project(const Call& call, std::string_view project);
inline bool may_see(const Call& call, const model::Object& object) {
  return may_see_project(call, object.project_id);
}

// The project of a new object whose request names none.
std::string default_project(const Call& call);
// ErrorKind::forbidden if a member asks for a project that is not its own.
Result<void> check_project(const Call& call, std::string_view project);

// Controller::change() within the caller's rights: a member's changes touch only objects of its
// project, whatever its request refers to.
Result<void> change(const Call& call, const control::Controller::Edit& edit);

}  // namespace sluice::api
