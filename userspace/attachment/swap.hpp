// Swap: exchanges the program on all attached NICs under live traffic.
#pragma once

#include <string>
#include <vector>

#include "attachment/attachment.hpp"
#include "base/result.hpp"
#include "kernel/pins.hpp"
#include "kernel/program.hpp"

namespace sluice::attachment {

// Swaps on all NICs or none: a failure restores `old`. Returns the names of the NICs.
Result<std::vector<std::string>> swap_everywhere(const std::vector<Attachment>& nics,
                                                 const kernel::Program& old,
                                                 const kernel::Program& fresh);

// The NICs, if all can run one program after another while flows are moved; those that are attached
// with --shared can't.
Result<std::vector<Attachment>> swappable(const kernel::PinDirectory& pins);
// Waits until no CPU runs a program that has been swapped out.
void await_packets_under_way();
// Swaps `before` for `program` on all these NICs, pins it, and waits until no packet meets
// `before`.
Result<void> run_everywhere(const kernel::PinDirectory& pins, const std::vector<Attachment>& nics,
                            const kernel::Program& before, const kernel::Program& program);

}  // namespace sluice::attachment
