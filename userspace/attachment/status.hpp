// What `sluice-loader status` shows: NICs, their programs, the maps and how full they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "attachment/attachment.hpp"
#include "attachment/host.hpp"
#include "base/result.hpp"
#include "kernel/kernel_info.hpp"

namespace sluice::attachment {

struct NicStatus {
  Attachment attachment;
  kernel::ProgramInfo program;
};

struct MapStatus {
  std::string name;
  std::string type;
  std::uint32_t capacity = 0;
  std::optional<std::uint64_t> used;  // unset where every entry always exists (counters, cursors)
  std::uint64_t bytes = 0;            // kernel memory
};

struct Status {
  std::vector<NicStatus> nics;
  std::vector<MapStatus> maps;
  std::optional<HostStatus> host;  // set: this host's own sockets reach VIPs
};

// ErrorKind::not_found when nothing is pinned there.
Result<Status> status(const std::filesystem::path& pin_directory);

}  // namespace sluice::attachment
