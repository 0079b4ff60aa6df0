// Swap: exchanges the program on all attached NICs under live traffic.
#pragma once

#include <string>
#include <vector>

#include "attachment/attachment.hpp"
#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::attachment {

// Swaps on all NICs or none: a failure restores `old`. Returns the names of the NICs.
Result<std::vector<std::string>> swap_everywhere(const std::vector<Attachment>& nics,
                                                 const kernel::Program& old,
                                                 const kernel::Program& fresh);

}  // namespace sluice::attachment
