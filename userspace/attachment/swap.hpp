// Swap: another program on all attached NICs, under live traffic.
#pragma once

#include <string>
#include <vector>

#include "attachment/attachment.hpp"
#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::attachment {

// All NICs or none: a failure puts `old` back. Returns the names of the NICs.
Result<std::vector<std::string>> swap_everywhere(const std::vector<Attachment>& nics,
                                                 const kernel::Program& old,
                                                 const kernel::Program& fresh);

}  // namespace sluice::attachment
