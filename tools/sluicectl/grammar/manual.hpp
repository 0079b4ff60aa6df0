// The manual page sluicectl(1), from the same tables as the help.
#pragma once

#include <string>

namespace sluice::ctl {

// troff with the man macros.
std::string manual();

}  // namespace sluice::ctl
