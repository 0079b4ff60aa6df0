// The load balancer's own host as a client of its VIPs: the programs of bpf/host.bpf.c on a cgroup,
// for sluice-loader's --host.
//
//   PIN/host/<program>   one bpf_link per program
//   PIN/host/counters    what they count
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/result.hpp"
#include "kernel/pins.hpp"
#include "kernel/program.hpp"

namespace sluice::attachment {

struct HostStatus {
  std::uint64_t connected = 0;  // connections and UDP sessions that were led to a member
  std::uint64_t refused = 0;
};
// nullopt: not attached.
Result<std::optional<HostStatus>> host_status(const kernel::PinDirectory& pins);

// Attaches the programs to the cgroup (version 2), for all sockets of this network namespace whose
// processes are in it or below; to that of all processes without a path. All are attached or none.
// Returns the cgroup; an empty path: they were attached already. Needs a data plane that is pinned.
Result<std::filesystem::path> attach_host(const std::filesystem::path& pin_directory,
                                          std::optional<std::filesystem::path> cgroup);
// Returns whether there was anything to detach.
Result<bool> detach_host(const std::filesystem::path& pin_directory);
// Replaces the programs by this build's where they are attached. The caller holds the lock on the
// pins.
Result<void> upgrade_host(const kernel::PinDirectory& pins, const kernel::Program& maps);

}  // namespace sluice::attachment
