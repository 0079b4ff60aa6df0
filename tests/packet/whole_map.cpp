#include "packet/whole_map.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

namespace sluice::test {
namespace {

bpf_map_info info_of(int map) {
  bpf_map_info info{};
  std::uint32_t size = sizeof info;
  EXPECT_EQ(bpf_obj_get_info_by_fd(map, &info, &size), 0) << std::strerror(errno);
  return info;
}

void clear_memory(int map, const bpf_map_info& info) {
  const auto bytes = std::size_t{info.max_entries} * info.value_size;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  ASSERT_NE(memory, MAP_FAILED) << info.name << ": " << std::strerror(errno);
  std::memset(memory, 0, bytes);
  munmap(memory, bytes);
}

}  // namespace

void write_entries(int map, std::uint32_t first, std::uint32_t count, const void* values) {
  if (count == 0) return;
  std::vector<std::uint32_t> keys(count);
  std::iota(keys.begin(), keys.end(), first);
  EXPECT_EQ(bpf_map_update_batch(map, keys.data(), values, &count, nullptr), 0)
      << std::strerror(errno);
}

void clear_array(int map) {
  const auto info = info_of(map);
  if (info.map_flags & BPF_F_MMAPABLE) return clear_memory(map, info);
  const std::vector<std::uint8_t> zero(std::size_t{info.max_entries} * info.value_size);
  write_entries(map, 0, info.max_entries, zero.data());
}

void empty_hash(int map) {
  const auto info = info_of(map);
  std::vector<std::uint8_t> key(info.key_size);
  if (info.type == BPF_MAP_TYPE_LPM_TRIE) {
    while (bpf_map_get_next_key(map, nullptr, key.data()) == 0)
      bpf_map_delete_elem(map, key.data());
    return;
  }
  // One walk over the buckets; the other way each key would begin one.
  const std::uint32_t most = std::min(info.max_entries, 4096U);
  std::vector<std::uint8_t> keys(std::size_t{most} * info.key_size),
      values(std::size_t{most} * info.value_size);
  std::uint32_t position = 0, count = most;
  void* from = nullptr;
  while (bpf_map_lookup_and_delete_batch(map, from, &position, keys.data(), values.data(), &count,
                                         nullptr) == 0) {
    from = &position;
    count = most;
  }
  EXPECT_EQ(errno, ENOENT) << info.name << ": " << std::strerror(errno);  // that was all
}

}  // namespace sluice::test
