// Maps as a whole, in few system calls: tests begin with clean ones, some thousands of times.
#pragma once

#include <bpf/bpf.h>

#include <cstdint>
#include <vector>

namespace sluice::test {

// Writes consecutive entries of an array from `first` on; `values` holds them side by side.
void write_entries(int map, std::uint32_t first, std::uint32_t count, const void* values);
// Makes all entries of an array zero (not of a per-CPU one).
void clear_array(int map);
// Removes all keys of a hash or trie.
void empty_hash(int map);

template <typename Value>
void write_entries(int map, std::uint32_t first, const std::vector<Value>& values) {
  write_entries(map, first, static_cast<std::uint32_t>(values.size()), values.data());
}

}  // namespace sluice::test
