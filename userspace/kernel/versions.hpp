// Versions of maps: those that this build writes and reads (maps/versions.h), and those of a pinned
// data plane.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::kernel {

class Program;

// The versions of one map in this build.
struct MapVersions {
  std::uint32_t index = 0;    // in `map_versions`
  std::uint32_t version = 1;  // as it writes it
  std::uint32_t oldest = 1;   // that it can read; 0: the map may be missing
  bool may_be_missing() const { return oldest == 0; }
};
// The versions of this map; nullptr if maps/versions.h does not name it.
const MapVersions* versions_of(std::string_view map);

// Says whether the map had this capacity in an earlier version, so that this build can use it.
bool had_capacity(std::string_view map, std::uint32_t capacity);

// The versions of the pinned maps. Without a pinned `map_versions` (-1) everything has version 1.
class PinnedVersions {
 public:
  explicit PinnedVersions(int map_versions_fd) : fd_(map_versions_fd) {}

  // ErrorKind::conflict names the map, both versions and what to do.
  Result<void> require_readable(std::string_view map) const;
  // Notes that the map has this build's version from now on.
  Result<void> note(std::string_view map) const;

 private:
  int fd_;
};

// Notes this build's version of every map that `program` has.
Result<void> note_versions(const Program& program);

}  // namespace sluice::kernel
