// Identity: who asks, and what that lets them do.
#pragma once

#include <string>

namespace sluice::api {

// Where new objects go when neither request, nor caller, nor operator says.
inline constexpr const char* no_project_id = "00000000000000000000000000000000";

enum class Role {
  admin,   // everything
  member,  // the objects of one project, and nothing of the node
  reader,  // looks at everything and changes nothing
};

struct Identity {
  std::string name = "local";  // "alice", "uid 1000": for the log and the events
  Role role = Role::admin;
  std::string project = {};  // a member's; of others, where new objects go; empty: the default one
  std::string peer = {};     // where the request came from: "192.0.2.7:50514", "pid 812"
};

}  // namespace sluice::api
