// What systemd wants to hear from a service, by its notification protocol (sd_notify(3)): a
// datagram on a socket that an environment variable names. Without a service manager all of this
// does nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace sluice::daemon {

// "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..."
void notify_service_manager(std::string_view state);

// How often it expects WATCHDOG=1 (WatchdogSec=); nullopt: not at all.
std::optional<std::chrono::microseconds> watchdog_timeout();

}  // namespace sluice::daemon
