// Typed views of BPF maps: Map<Key, Value> for arrays and hashes, CounterMap<Value> for per-CPU
// arrays.
//
// Views don't own the descriptor. Errors name map and operation; a full map is ErrorKind::conflict
// with its capacity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::kernel {

// The untyped part: each function is one system call.
class RawMap {
 public:
  RawMap(const Program& program, std::string_view name);
  RawMap(int fd, std::string_view name) : fd_(fd), name_(name) {}

  int fd() const { return fd_; }
  const std::string& name() const { return name_; }

  // The present number of entries of a hash map.
  Result<std::uint64_t> count() const;

  // Every entry as bytes, keys and values side by side.
  struct Batch {
    std::vector<std::byte> keys, values;
    std::uint32_t count = 0;
  };
  // Stops after `most` entries. `first`: the index at which it begins, if the map is an array.
  Result<Batch> read_all(std::uint32_t key_size, std::uint32_t value_size,
                         std::uint32_t most = UINT32_MAX, std::uint32_t first = 0) const;
  // A walk over a map in rounds, each of which is one system call.
  struct Cursor {
    std::uint64_t opaque[4] = {};  // at most a key long (24 bytes in allowed_sources)
    bool started = false;
    bool done = false;  // there are no more entries
  };
  // Reads at most `room` entries, in which a hash bucket must fit; returns how many.
  Result<std::uint32_t> read_round(Cursor& cursor, void* keys, void* values,
                                   std::uint32_t room) const;
  Result<void> put_bytes(const void* key, const void* value) const;
  Result<bool> erase_bytes(const void* key) const;
  // From now on only programs can change the map. Waits for changes that processes have begun.
  Result<void> freeze() const;

 protected:
  Result<bool> lookup_bytes(const void* key, void* value) const;

 private:
  int fd_;
  std::string name_;
};

// Unmaps a map's memory.
struct UnmapMemory {
  std::size_t bytes = 0;
  std::size_t entries = 0;
  void operator()(const void* memory) const;
};
using MapMemory = std::unique_ptr<const void, UnmapMemory>;
enum class Access { read, write };
Result<MapMemory> map_memory_of(const RawMap& map, std::size_t value_bytes, Access access);

template <typename Key, typename Value>
class Map : public RawMap {
 public:
  using RawMap::RawMap;

  Result<std::optional<Value>> lookup(const Key& key) const {
    Value value{};
    const auto found = lookup_bytes(&key, &value);
    if (!found) return tl::unexpected(found.error());
    return *found ? std::optional(value) : std::nullopt;
  }
  Result<void> put(const Key& key, const Value& value) const { return put_bytes(&key, &value); }
  // Removes the entry; returns false if there was none.
  Result<bool> erase(const Key& key) const { return erase_bytes(&key); }

  // Reads all entries, or the first ones; those of an array are in the order of their indices, and
  // begin with `first`. It is not a snapshot if others write meanwhile.
  Result<std::vector<std::pair<Key, Value>>> entries(std::uint32_t most = UINT32_MAX,
                                                     std::uint32_t first = 0) const {
    const auto batch = read_all(sizeof(Key), sizeof(Value), most, first);
    if (!batch) return tl::unexpected(batch.error());
    std::vector<std::pair<Key, Value>> result(batch->count);
    for (std::size_t i = 0; i < result.size(); ++i) {
      std::memcpy(&result[i].first, batch->keys.data() + i * sizeof(Key), sizeof(Key));
      std::memcpy(&result[i].second, batch->values.data() + i * sizeof(Value), sizeof(Value));
    }
    return result;
  }
};

// An array map with BPF_F_MMAPABLE, mapped into our memory. Others write to it meanwhile.
template <typename Value>
class MappedArray {
 public:
  static Result<MappedArray> open(const Program& program, std::string_view name) {
    return open(RawMap(program, name));
  }
  static Result<MappedArray> open(const RawMap& map) {
    auto memory = map_memory_of(map, sizeof(Value), Access::read);
    if (!memory) return tl::unexpected(std::move(memory.error()));
    return MappedArray(std::move(*memory));
  }
  const Value* begin() const { return static_cast<const Value*>(memory_.get()); }
  const Value* end() const { return begin() + memory_.get_deleter().entries; }

 private:
  explicit MappedArray(MapMemory memory) : memory_(std::move(memory)) {}
  MapMemory memory_;
};

// The number of CPUs for which a per-CPU map has a value.
std::size_t possible_cpus();
// To be called before the first per-CPU map is read; an error if the kernel doesn't tell.
Result<void> know_possible_cpus();

// A per-CPU array. The kernel pads each CPU's value to eight bytes; counters need no padding.
template <typename Value>
class CounterMap : public RawMap {
  static_assert(sizeof(Value) % 8 == 0);

 public:
  using RawMap::RawMap;

  Result<std::vector<Value>> per_cpu(std::uint32_t index) const {
    std::vector<Value> values(possible_cpus());
    const auto found = lookup_bytes(&index, values.data());
    if (!found) return tl::unexpected(found.error());
    return values;
  }
  // Reads the values of so many indices; those of one index are side by side.
  Result<std::vector<Value>> per_cpu_of(std::uint32_t first, std::uint32_t indices) const {
    const auto batch =
        read_all(sizeof(std::uint32_t), static_cast<std::uint32_t>(sizeof(Value) * possible_cpus()),
                 indices, first);
    if (!batch) return tl::unexpected(batch.error());
    std::vector<Value> values(batch->count * possible_cpus());
    std::memcpy(values.data(), batch->values.data(), values.size() * sizeof(Value));
    return values;
  }
  Result<std::vector<Value>> first_per_cpu(std::uint32_t indices) const {
    return per_cpu_of(0, indices);
  }
  Result<void> set_to_zero(std::uint32_t index) const {
    return put_bytes(&index, std::vector<Value>(possible_cpus()).data());
  }
};

}  // namespace sluice::kernel
