// IndexTable: assigns indices of an array map to objects. Pure.
//
// A released object keeps its index until that goes to another object: flows may still be counted
// under it, and the object gets the same index if it comes back. The longest unused index is reused
// first. Indices may be in banks of one size, and an object is in one of these.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/uuid.hpp"
#include "control/data_plane.hpp"

namespace sluice::dataplane {

// Object is the type of names: Uuid or control::PoolKey.
template <typename Object>
class IndexTableOf {
 public:
  explicit IndexTableOf(std::uint32_t capacity) : IndexTableOf(capacity, capacity) {}
  IndexTableOf(std::uint32_t capacity, std::uint32_t bank_size);

  // Adopts an index from the maps at start: it is in use, or was until its object was removed.
  void adopt(std::uint32_t index, const Object& object);
  void adopt_released(std::uint32_t index, const Object& object);

  std::optional<std::uint32_t> find(const Object& object) const;
  std::optional<Object> object_at(std::uint32_t index) const;

  // Calls visit(object, index) for each object that has an index now, in their order.
  template <typename Visit>
  void for_each_used(Visit visit) const {
    for (const auto& [object, index] : index_of_) {
      if (slots_[index].used) visit(object, index);
    }
  }

  // Indices from `begin` to `end` - 1.
  struct Range {
    std::uint32_t begin = 0, end = 0;
  };
  // Returns, for each bank, its indices up to the highest one that was ever used.
  const std::vector<Range>& used_ranges() const { return used_; }

  // Returns the index's bank, and its place there.
  std::pair<std::size_t, std::size_t> place_of(std::uint32_t index) const {
    return {index / bank_size_, index % bank_size_};
  }

  // Returns the first index from which on none was ever used.
  std::uint32_t end() const {
    std::uint32_t end = 0;
    for (const auto& range : used_) {
      if (range.end != range.begin) end = range.end;
    }
    return end;
  }

  struct Allocation {
    std::uint32_t index = 0;
    bool fresh = true;  // false: the object's own former index, its counters go on
  };
  // nullopt: every index of the bank is in use or not `reusable`. Precondition: find(object) is
  // empty.
  std::optional<Allocation> allocate(const Object& object,
                                     const std::function<bool(std::uint32_t)>& reusable,
                                     std::uint32_t bank = 0);
  // Undoes an allocation, or gives up a removed object's index. No-op for an unknown object.
  void release(const Object& object);

 private:
  struct Slot {
    std::optional<Object> object;  // in use by, or last used by
    std::list<std::uint32_t>::iterator free;
    bool used = false;
  };
  void take(std::uint32_t index, const Object& object);

  std::uint32_t bank_size_;
  std::vector<Slot> slots_;
  std::vector<std::list<std::uint32_t>> free_;  // of each bank, longest unused first
  std::vector<Range> used_;                     // of each bank
  std::map<Object, std::uint32_t> index_of_;    // used and released objects
};

using IndexTable = IndexTableOf<Uuid>;

}  // namespace sluice::dataplane
