// What a command line must satisfy beyond its syntax. Ranges and meanings of values are the
// server's to judge.
#pragma once

#include <optional>
#include <string>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

// What is missing, contradictory or no number, as a sentence; nothing when all is well.
std::optional<std::string> problem(const Invocation& invocation);

}  // namespace sluice::ctl
