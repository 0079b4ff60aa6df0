// The pin directory: keeps Sluice in the kernel when no Sluice process runs.
//
//   PIN/sluice_xdp, PIN/flow_sweep, PIN/flow_expire, PIN/flow_expire_short, PIN/flow_flush,
//   PIN/flow_rehome, PIN/flow_walk, PIN/flow_put, PIN/flow_replicas
//                                     the programs
//   PIN/maps/<map>                    every map of maps/*.h
//   PIN/links/<interface>             one bpf_link per attached NIC
//   PIN/shared/<interface>            the program as libxdp attached it (--shared)
//   PIN/moving/<map>                  the new flow tables, while flows are moved to them; or the
//                                     former ones, while an upgrade crosses to another layout
//   PIN/moving/<program>              then, too: the former programs, and `former`, which calls one
//
// A pin directory is complete or absent: it is filled under a temporary name beside its final place
// and published by one rename; withdrawing it goes in reverse.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::kernel {

// Where programs, maps and links are pinned unless --pin-dir says otherwise.
inline constexpr const char* default_pin_directory = "/sys/fs/bpf/sluice";

class Program;

class PinDirectory {
 public:
  explicit PinDirectory(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path program(std::string_view name) const { return path_ / name; }
  std::filesystem::path map(std::string_view name) const { return path_ / "maps" / name; }
  std::filesystem::path link(std::string_view interface) const;
  std::filesystem::path shared(std::string_view interface) const;

  // The interfaces that have a pin under links/ or shared/; empty when there is no directory.
  std::vector<std::string> linked_interfaces() const;
  std::vector<std::string> shared_interfaces() const;

  // Says whether Sluice is pinned here; an error when we may not look.
  Result<bool> exists() const;

  // What the directories of the pins look like. As long as it stays the same, no pin came, went or
  // was replaced, because each of these writes the time into its directory. To see that costs a few
  // system calls, however many pins there are. nullopt: nobody can tell, because one of them has
  // changed so lately that the next change may have the same time.
  struct Look {
    struct Directory {
      std::uint64_t device = 0, inode = 0;
      std::int64_t changed_ns = 0;
      bool operator==(const Directory&) const = default;
    };
    std::vector<Directory> directories;
    bool operator==(const Look&) const = default;
  };
  std::optional<Look> look() const;
  // Fails with ErrorKind::not_found if nothing is pinned, or says why nothing can be seen here.
  Result<void> require_pinned() const;

  // Fails unless the directory lies (or would lie) inside a bpffs that outlives this process.
  // Mounts /sys/fs/bpf if that is all that is missing.
  Result<void> require_lasting_bpffs() const;

  // Pins all programs and maps; returns false if another process has published here meanwhile,
  // whose pins should be adopted.
  Result<bool> publish(const Program& program) const;
  // Replaces the programs' pins, each atomically; maps stay.
  Result<void> replace_programs(const Program& program) const;
  // Restores the pins of maps and programs that somebody has removed; returns their paths.
  Result<std::vector<std::filesystem::path>> pin_missing(const Program& program) const;
  // The directory in which new flow tables are pinned beside those in use. As long as it exists, a
  // move is not over.
  std::filesystem::path moving() const { return path_ / "moving"; }
  bool is_moving() const;
  Result<void> begin_move(const Program& program) const;
  // Pins there the maps and programs that `former` has for itself, and the map by which `now` calls
  // it.
  Result<void> begin_crossing(const Program& former, const Program& now) const;
  // Says whether what is pinned there is of begin_crossing().
  bool is_crossing() const;
  // Replaces the pinned maps by those of `program`, all at one moment.
  Result<void> replace_maps(const Program& program) const;
  Result<void> end_move() const;
  // Removes everything. The kernel frees maps and programs when nobody holds them.
  Result<void> withdraw() const;

 private:
  std::filesystem::path path_;
};

// bpffs reserves the dot, which VLAN interfaces have in their names (eth0.100). A pin's name has a
// colon instead, which no interface name may contain.
std::string pin_name(std::string_view interface);
std::string interface_of_pin(std::string_view pin_name);

}  // namespace sluice::kernel
