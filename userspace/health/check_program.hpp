// Check program: says whether a file may be run as a check.
#pragma once

#include <string>

#include "base/result.hpp"

namespace sluice::health {

// Returns the path without symbolic links. Fails with a sentence if the program isn't there, can't
// be executed, or could be changed by somebody else than root: it and all directories above it must
// be root's, and writable by nobody else.
Result<std::string> check_program(const std::string& path);

}  // namespace sluice::health
