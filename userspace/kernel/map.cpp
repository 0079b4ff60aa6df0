#include "kernel/map.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"

namespace sluice::kernel {
namespace {

// A process is in the kernel for a change far shorter.
constexpr auto longest_change = std::chrono::seconds(5);

}  // namespace

RawMap::RawMap(const Program& program, std::string_view name)
    : fd_(program.map_fd(name)), name_(name) {}

Result<bool> RawMap::lookup_bytes(const void* key, void* value) const {
  if (bpf_map_lookup_elem(fd_, key, value) == 0) return true;
  if (errno == ENOENT) return false;
  return fail_bpf(errno, "read map " + name_);
}

Result<void> RawMap::put_bytes(const void* key, const void* value) const {
  if (bpf_map_update_elem(fd_, key, value, BPF_ANY) == 0) return {};
  if (errno == E2BIG || errno == ENOSPC) {
    const auto info = map_info(fd_);
    return fail(ErrorKind::conflict, fmt::format("map {} is full: it holds {} entries", name_,
                                                 info ? info->layout.max_entries : 0));
  }
  return fail_bpf(errno, "write map " + name_);
}

Result<bool> RawMap::erase_bytes(const void* key) const {
  if (bpf_map_delete_elem(fd_, key) == 0) return true;
  if (errno == ENOENT) return false;
  return fail_bpf(errno, "delete from map " + name_);
}

Result<void> RawMap::freeze() const {
  const auto until = std::chrono::steady_clock::now() + longest_change;
  while (bpf_map_freeze(fd_) != 0) {
    if (errno == EPERM) return {};  // it is frozen, or this descriptor can't write anyway
    if (errno != EBUSY || std::chrono::steady_clock::now() > until)
      return fail_bpf(errno, "freeze map " + name_);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

namespace {

// A hash bucket must fit into one round (ENOSPC otherwise); our buckets have a handful of entries.
constexpr std::uint32_t round_entries = 4096;

}  // namespace

Result<std::uint32_t> RawMap::read_round(Cursor& cursor, void* keys, void* values,
                                         std::uint32_t room) const {
  std::uint32_t count = room;
  const int result = bpf_map_lookup_batch(fd_, cursor.started ? cursor.opaque : nullptr,
                                          cursor.opaque, keys, values, &count, nullptr);
  cursor.started = true;
  cursor.done = result != 0 && errno == ENOENT;
  if (result != 0 && !cursor.done) return fail_bpf(errno, "read map " + name_);
  return count;
}

Result<RawMap::Batch> RawMap::read_all(std::uint32_t key_size, std::uint32_t value_size,
                                       std::uint32_t most, std::uint32_t first) const {
  Batch all;
  Cursor cursor;
  if (first != 0) {  // an array's cursor is the index that was read last
    cursor.opaque[0] = first - 1;
    cursor.started = true;
  }
  while (!cursor.done && all.count < most) {
    const auto round = std::min(round_entries, most - all.count);
    const std::size_t room = all.count + round;
    all.keys.resize(room * key_size);
    all.values.resize(room * value_size);
    const auto count = read_round(cursor, &all.keys[std::size_t{all.count} * key_size],
                                  &all.values[std::size_t{all.count} * value_size], round);
    if (!count) return tl::unexpected(count.error());
    all.count += *count;
  }
  return all;
}

Result<std::uint64_t> RawMap::count() const {
  const auto info = map_info(fd_);
  if (!info) return tl::unexpected(info.error());
  std::vector<std::byte> keys(std::size_t{round_entries} * info->layout.key_size);
  std::vector<std::byte> values(std::size_t{round_entries} * info->layout.value_size);
  std::uint64_t total = 0;
  Cursor cursor;
  while (!cursor.done) {
    const auto count = read_round(cursor, keys.data(), values.data(), round_entries);
    if (!count) return tl::unexpected(count.error());
    total += *count;
  }
  return total;
}

std::size_t possible_cpus() {
  // The kernel writes as many values as it has CPUs: with a guess it would write beyond them. So
  // who opens a program asks first (know_possible_cpus()), while there are descriptors for it.
  static const int cpus = [] {
    const int found = libbpf_num_possible_cpus();
    if (found <= 0) std::abort();
    return found;
  }();
  return static_cast<std::size_t>(cpus);
}

Result<void> know_possible_cpus() {
  if (const int cpus = libbpf_num_possible_cpus(); cpus <= 0)
    return fail_bpf(-cpus, "count the CPUs (/sys/devices/system/cpu/possible)");
  (void)possible_cpus();
  return {};
}

void UnmapMemory::operator()(const void* memory) const {
  munmap(const_cast<void*>(memory), bytes);
}

Result<MapMemory> map_memory_of(const RawMap& map, std::size_t value_bytes, Access access) {
  const auto info = map_info(map.fd());
  if (!info) return tl::unexpected(info.error());
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t entries = info->layout.max_entries;
  const std::size_t bytes = (entries * value_bytes + page - 1) / page * page;
  void* memory = mmap(nullptr, bytes, access == Access::write ? PROT_READ | PROT_WRITE : PROT_READ,
                      MAP_SHARED, map.fd(), 0);
  if (memory == MAP_FAILED) return fail_bpf(errno, "map the memory of " + map.name());
  return MapMemory(memory, UnmapMemory{bytes, entries});
}

}  // namespace sluice::kernel
