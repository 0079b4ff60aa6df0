// Kernel info: reads what the kernel tells about its BPF objects.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::kernel {

struct ProgramInfo {
  std::uint32_t id = 0;
  std::string name;
  std::string tag;  // hash of the instructions, as bpftool prints it
  std::chrono::system_clock::time_point loaded_at;
};
Result<ProgramInfo> program_info(int fd);
// Describes any program of the system, also a foreign one; needs CAP_SYS_ADMIN.
Result<ProgramInfo> program_info_by_id(std::uint32_t id);

// The ids of the maps that the program uses.
Result<std::vector<std::uint32_t>> maps_of_program(int fd);

struct LinkInfo {
  std::uint32_t id = 0;
  std::uint32_t program_id = 0;
  std::uint32_t interface_index = 0;  // 0: the interface is gone
};
Result<LinkInfo> link_info(int fd);
// Finds the link that holds this XDP program on this interface; nullopt: it was attached without
// one. Walks over all links of the system, which needs CAP_SYS_ADMIN.
std::optional<std::uint32_t> xdp_link_of(std::uint32_t interface_index, std::uint32_t program_id);

struct MapInfo {
  MapLayout layout;
  std::uint32_t id = 0;
};
Result<MapInfo> map_info(int fd);
// The kernel memory of a map in bytes (exact since Linux 6.4, an estimate before).
std::uint64_t map_memory(int fd);
std::uint64_t map_memory(const Program& program);

// Opens a pinned program, map or link.
Result<UniqueFd> open_pin(const std::string& path);

}  // namespace sluice::kernel
