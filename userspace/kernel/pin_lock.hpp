// Locks on a pin directory. bpffs holds no files, so the locks are files in /run/sluice that are
// named after the directory's path.
#pragma once

#include <chrono>
#include <filesystem>

#include "base/file_lock.hpp"

namespace sluice::kernel {

// Is held by a daemon while it runs: two daemons on the same maps would undo each other's work for
// ever.
Result<FileLock> lock_for_daemon(const std::filesystem::path& pin_directory);

// Is held while a process loads, attaches, detaches or upgrades. Waits for the holder for a while,
// because such work takes seconds at most.
Result<FileLock> lock_for_change(const std::filesystem::path& pin_directory,
                                 std::chrono::milliseconds patience = std::chrono::seconds(30));
// Says whether somebody holds that lock now.
bool somebody_changes(const std::filesystem::path& pin_directory);

}  // namespace sluice::kernel
