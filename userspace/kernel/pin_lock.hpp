// Locks on a pin directory. bpffs holds no files, so they are files in /run/sluice that have the
// directory's path in their names.
#pragma once

#include <chrono>
#include <filesystem>

#include "base/file_lock.hpp"

namespace sluice::kernel {

// Two daemons on the same maps would undo each other's work for ever: one holds this while it runs.
Result<FileLock> lock_for_daemon(const std::filesystem::path& pin_directory);

// Held by whoever loads, attaches, detaches or upgrades, for as long as that takes. Waits for
// others for a while: what they do takes seconds at most.
Result<FileLock> lock_for_change(const std::filesystem::path& pin_directory,
                                 std::chrono::milliseconds patience = std::chrono::seconds(30));

}  // namespace sluice::kernel
