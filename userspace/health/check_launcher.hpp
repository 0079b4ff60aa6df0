// Check launcher: the loop of the process that starts, watches and ends the programs of EXTERNAL
// monitors.
//
// A program gets the member's address and port as arguments and as SLUICE_ADDRESS and SLUICE_PORT;
// its environment has nothing else but SLUICE_CHECK and SLUICE_TIMEOUT. It runs as another user, in
// a session of its own, with no descriptors but /dev/null and a pipe for its output, and with
// limits on processes, descriptors and the size of files. When it ends, by itself or not, so do all
// that it has started: those in its process group at once, and those that left it when they lose
// their parent, because the launcher inherits orphans.
#pragma once

#include "health/check_helper.hpp"

namespace sluice::health {

// Serves the daemon at the other end of `socket` until it is gone. `anew`: an earlier launcher
// died.
void run_check_launcher(const CheckSettings& settings, int socket, bool anew);

// Kills and reaps all children of this process and what these leave behind.
void end_all_children();

}  // namespace sluice::health
