// Check helper: the processes that run the programs of EXTERNAL monitors.
//
//   sluiced ── socket ── launcher ── programs (check_launcher.hpp)
//                 └───── guardian: starts the launcher, and another one when it dies
//
// Both are forked before sluiced gives up its capabilities, and keep three: to become another user
// (CAP_SETUID, CAP_SETGID) and to end that user's processes (CAP_KILL). They end with sluiced.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace sluice::health {

struct CheckUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

struct CheckSettings {
  std::map<std::string, std::string> programs;  // by the name in the API
  CheckUser user;                               // who runs them
  unsigned at_once = 32;                        // so many of them
  // Says again before each start whether a program may be run; tests permit others.
  std::function<Result<void>(const std::string& path)> permit;
};

// Finds the user; root is refused.
Result<CheckUser> find_check_user(const std::string& name);

// Checks the programs, makes their paths free of symbolic links and forks the helper; returns the
// daemon's end of its socket. Must be called while the process has one thread only.
Result<UniqueFd> start_check_helper(CheckSettings settings);

}  // namespace sluice::health
