// Help: texts for every level, generated from the noun tables.
#pragma once

#include <string>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

// The help text of the program, of a noun (`verb` is null) or of a verb.
std::string help(const Noun* noun, const Verb* verb);

// "loadbalancer member set [OPTION...] POOL MEMBER"
std::string signature(const Noun& noun, const Verb& verb);

}  // namespace sluice::ctl
