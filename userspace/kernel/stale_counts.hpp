// Stale counts: what an older version's program, which does not know a counter, left in its map
// while it ran. A downgrade leaves the pins of newer maps alone; connections that ended meanwhile
// stay counted there, and after the next upgrade a limit would be reached too early, for ever.
#pragma once

#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::kernel {

// Sets those counters to zero that the program of `running` does not use. Where they begin at zero
// beside connections, maps/half_open.h says what counts. To be called before a program that uses
// them takes its place.
Result<void> forget_stale_counts(const Program& running);

}  // namespace sluice::kernel
