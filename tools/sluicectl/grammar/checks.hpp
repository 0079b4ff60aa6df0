// Checks of a command line beyond its syntax. The server judges ranges and meanings of values.
#pragma once

#include <optional>
#include <string>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

// Says as a sentence what is missing, contradictory or not a number; nullopt if nothing is.
std::optional<std::string> problem(const Invocation& invocation);

}  // namespace sluice::ctl
