// Privileges: checks those that the daemon needs to start, and drops most of them later.
#pragma once

#include "base/result.hpp"

namespace sluice::daemon {

// Fails with the missing privilege and how to get it.
Result<void> require_privileges();

// Raises the limit of file descriptors to the hard limit, because each probe in flight needs one.
void raise_descriptor_limit();

// Keeps CAP_NET_ADMIN, CAP_NET_RAW (announcements), CAP_BPF and CAP_PERFMON (maps, the expiry
// program) and drops all others for good.
Result<void> drop_privileges();

}  // namespace sluice::daemon
