// Logging: one event per line on stderr.
#pragma once

#include <spdlog/common.h>

namespace sluice::daemon {

// Under journald each line begins with its priority ("<4>"), and the journal adds the time.
// Elsewhere it begins with the time, and is coloured on a terminal (unless NO_COLOR is set).
void set_up_logging(spdlog::level::level_enum level);

}  // namespace sluice::daemon
