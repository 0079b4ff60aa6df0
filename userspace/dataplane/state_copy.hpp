// State copy: copies what packets have changed from the program in use to one that was loaded
// beside it (Program::load_beside), so that both would do the same with the next packet.
#pragma once

#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::dataplane {

// Copies every map that the two don't share, except counters and notices. It may be called again
// and then removes what is gone. `options` are those with which `to` was loaded; a flow table of
// another size stays as it is.
//
// Packets go on meanwhile, so this is not a snapshot, but each flow is consistent.
Result<void> copy_state(const kernel::Program& from, const kernel::Program& to,
                        const kernel::BesideOptions& options);

}  // namespace sluice::dataplane
