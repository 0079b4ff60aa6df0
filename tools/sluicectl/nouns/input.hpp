// Input files of commands.
#pragma once

#include <string>

#include "base/result.hpp"

namespace sluice::ctl {

// The file's contents; "-" is standard input.
Result<std::string> read_input(const std::string& file);

}  // namespace sluice::ctl
