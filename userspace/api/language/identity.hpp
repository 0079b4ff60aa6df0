// Identity: a caller and its role.
#pragma once

#include <string>

namespace sluice::api {

// The project of new objects if neither request, nor caller, nor operator names one.
inline constexpr const char* no_project_id = "00000000000000000000000000000000";

enum class Role {
  admin,   // everything
  member,  // the objects of one project, and nothing of the node
  reader,  // looks at everything and changes nothing
};

struct Identity {
  std::string name = "local";  // "alice", "uid 1000": for the log and the events
  Role role = Role::admin;
  std::string project = {};  // of a member, or of others' new objects; empty: the default
  std::string peer = {};     // where the request came from: "192.0.2.7:50514", "pid 812"
};

}  // namespace sluice::api
