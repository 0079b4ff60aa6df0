// Service manager: speaks systemd's notification protocol (sd_notify(3)), which is a datagram to a
// socket that an environment variable names. Without a service manager all of this does nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace sluice::daemon {

// "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..."
void notify_service_manager(std::string_view state);

// The time within which it expects WATCHDOG=1 (WatchdogSec=); nullopt: it doesn't.
std::optional<std::chrono::microseconds> watchdog_timeout();

}  // namespace sluice::daemon
