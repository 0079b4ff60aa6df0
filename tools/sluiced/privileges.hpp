// Privileges: what the daemon needs to start, and the little that it keeps.
#pragma once

#include "base/result.hpp"

namespace sluice::daemon {

// An error that says what is missing and how to get it.
Result<void> require_privileges();

// As many file descriptors as the hard limit allows: each probe in flight is one.
void raise_descriptor_limit();

// Keeps CAP_NET_ADMIN, CAP_NET_RAW (announcements), CAP_BPF and CAP_PERFMON (maps, the expiry
// program) and gives up the rest for good.
Result<void> drop_privileges();

}  // namespace sluice::daemon
