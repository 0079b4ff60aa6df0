#include "kernel/kernel_info.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <fstream>

#include "kernel/libbpf_log.hpp"

namespace sluice::kernel {
namespace {

template <typename Info>
Result<Info> object_info(int fd, std::string_view what) {
  Info info{};
  std::uint32_t size = sizeof info;
  if (const int error = bpf_obj_get_info_by_fd(fd, &info, &size)) return fail_bpf(error, what);
  return info;
}

// The kernel gives load times on the boot clock.
std::chrono::system_clock::time_point from_boot_time(std::uint64_t nanoseconds) {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const auto since_boot = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  const auto age = since_boot - std::chrono::nanoseconds(nanoseconds);
  return std::chrono::system_clock::now() -
         std::chrono::duration_cast<std::chrono::system_clock::duration>(age);
}

}  // namespace

Result<ProgramInfo> program_info(int fd) {
  const auto info = object_info<bpf_prog_info>(fd, "query BPF program");
  if (!info) return tl::unexpected(info.error());
  ProgramInfo result{info->id, info->name, {}, from_boot_time(info->load_time)};
  for (const auto byte : info->tag) result.tag += fmt::format("{:02x}", byte);
  return result;
}

Result<ProgramInfo> program_info_by_id(std::uint32_t id) {
  const UniqueFd fd(bpf_prog_get_fd_by_id(id));
  if (!fd) return fail_bpf(errno, fmt::format("open BPF program {}", id));
  return program_info(fd.get());
}

Result<std::vector<std::uint32_t>> maps_of_program(int fd) {
  const auto info = object_info<bpf_prog_info>(fd, "query BPF program");
  if (!info) return tl::unexpected(info.error());
  std::vector<std::uint32_t> ids(info->nr_map_ids);
  bpf_prog_info wanted{};
  wanted.nr_map_ids = info->nr_map_ids;
  wanted.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  std::uint32_t size = sizeof wanted;
  if (const int error = bpf_obj_get_info_by_fd(fd, &wanted, &size))
    return fail_bpf(error, "query BPF program's maps");
  return ids;
}

Result<LinkInfo> link_info(int fd) {
  const auto info = object_info<bpf_link_info>(fd, "query BPF link");
  if (!info) return tl::unexpected(info.error());
  // The union holds an interface only for links of type XDP.
  const auto index = info->type == BPF_LINK_TYPE_XDP ? info->xdp.ifindex : 0;
  return LinkInfo{info->id, info->prog_id, index};
}

std::optional<std::uint32_t> xdp_link_of(std::uint32_t interface_index, std::uint32_t program_id) {
  for (std::uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) {
    const UniqueFd fd(bpf_link_get_fd_by_id(id));
    if (!fd) continue;
    const auto link = link_info(fd.get());
    if (link && link->interface_index == interface_index && link->program_id == program_id) {
      return id;
    }
  }
  return std::nullopt;
}

Result<MapInfo> map_info(int fd) {
  const auto info = object_info<bpf_map_info>(fd, "query BPF map");
  if (!info) return tl::unexpected(info.error());
  return MapInfo{{info->name, info->type, info->key_size, info->value_size, info->max_entries,
                  info->map_flags},
                 info->id};
}

std::uint64_t map_memory(int fd) {
  std::ifstream lines(fmt::format("/proc/self/fdinfo/{}", fd));
  std::uint64_t bytes = 0;
  for (std::string field; lines >> field;) {
    if (field == "memlock:" && lines >> bytes) return bytes;
  }
  return 0;
}

std::uint64_t map_memory(const Program& program) {
  std::uint64_t bytes = 0;
  for (const auto& [name, fd] : program.maps()) bytes += map_memory(fd.get());
  return bytes;
}

Result<UniqueFd> open_pin(const std::string& path) {
  UniqueFd fd(bpf_obj_get(path.c_str()));
  if (!fd) return fail_bpf(errno, "open " + path);
  return fd;
}

}  // namespace sluice::kernel
