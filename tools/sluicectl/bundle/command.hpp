// Runs other programs of this machine, with a limit on time and output.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sluice::ctl {

struct CommandResult {
  int exit_code = 0;
  std::string output;  // what it wrote, to stdout and stderr
};

// Runs the program, which is looked for in PATH and in the directories of system programs, without
// a shell. The error says why it could not be run, or that it took too long and was killed. Of long
// outputs the end is kept.
Result<CommandResult> run_command(const std::vector<std::string>& command,
                                  std::chrono::milliseconds limit);

}  // namespace sluice::ctl
