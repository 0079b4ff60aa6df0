// Logging: one event a line on stderr, as its reader wants it.
#pragma once

#include <spdlog/common.h>

namespace sluice::daemon {

// Under journald each line begins with its priority ("<4>") and the journal adds the time; anywhere
// else it begins with the time, and with colours on a terminal (unless NO_COLOR is set).
void set_up_logging(spdlog::level::level_enum level);

}  // namespace sluice::daemon
