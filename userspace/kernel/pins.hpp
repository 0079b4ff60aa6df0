// The pin directory: what keeps Sluice in the kernel when every Sluice process is dead.
//
//   PIN/sluice_xdp, PIN/flow_expire, PIN/flow_flush   the programs
//   PIN/maps/<map>                    every map of maps/*.h
//   PIN/links/<interface>             one bpf_link per attached NIC
//   PIN/shared/<interface>            the program as libxdp attached it (--shared)
//   PIN/moving/<map>                  the new flow tables, while flows are moved to them
//
// Contract: a pin directory is complete or absent. It is filled under a temporary name beside its
// final place and published by one rename; it is withdrawn by the reverse.
#pragma once

#include <filesystem>
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

  // Interfaces that have a pin under links/ or shared/; empty when there is no directory.
  std::vector<std::string> linked_interfaces() const;
  std::vector<std::string> shared_interfaces() const;

  // Whether Sluice is pinned here; an error when we may not look.
  Result<bool> exists() const;
  // For verbs that need something pinned: ErrorKind::not_found, or why nothing can be seen here.
  Result<void> require_pinned() const;

  // Fails unless the directory lies (or would lie) inside a bpffs that outlives this process.
  // Mounts /sys/fs/bpf when that is only not done yet.
  Result<void> require_lasting_bpffs() const;

  // Pins all programs and maps; false when somebody else has published here meanwhile (adopt
  // theirs).
  Result<bool> publish(const Program& program) const;
  // Replaces the programs' pins, each atomically; maps stay.
  Result<void> replace_programs(const Program& program) const;
  // Pins the maps and programs again whose pins somebody removed; returns their paths.
  Result<std::vector<std::filesystem::path>> pin_missing(const Program& program) const;
  // New flow tables, which `program` has, are pinned beside those in use: as long as they are, a
  // move is not over.
  std::filesystem::path moving() const { return path_ / "moving"; }
  bool is_moving() const;
  Result<void> begin_move(const Program& program) const;
  // Pins the maps of `program` in the place of the present ones: all of them at one moment.
  Result<void> replace_maps(const Program& program) const;
  Result<void> end_move() const;
  // Removes everything. The kernel frees maps and programs when nobody holds them.
  Result<void> withdraw() const;

 private:
  std::filesystem::path path_;
};

// bpffs reserves the dot, which VLAN interfaces have in their names (eth0.100); the colon stands in
// for it, as no interface name may contain one.
std::string pin_name(std::string_view interface);
std::string interface_of_pin(std::string_view pin_name);

}  // namespace sluice::kernel
