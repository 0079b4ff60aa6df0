// IndexTable: which index of an array map belongs to which object. Pure.
//
// An object that was released is remembered until its index goes to another one: flows may still be
// counted under it, and the same object coming back gets the same index. The longest unused index
// goes first.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/uuid.hpp"

namespace sluice::dataplane {

class IndexTable {
 public:
  explicit IndexTable(std::uint32_t capacity);

  // At start, from what the maps hold: the index is in use, or was when its object was removed.
  void adopt(std::uint32_t index, const Uuid& object);
  void adopt_released(std::uint32_t index, const Uuid& object);

  std::optional<std::uint32_t> find(const Uuid& object) const;
  std::optional<Uuid> object_at(std::uint32_t index) const;

  struct Allocation {
    std::uint32_t index = 0;
    bool fresh = true;  // false: the object's own former index, its counters go on
  };
  // nullopt: every index is in use or not `reusable`. Precondition: find(object) is empty.
  std::optional<Allocation> allocate(const Uuid& object,
                                     const std::function<bool(std::uint32_t)>& reusable);
  // Undoes an allocation, or gives up a removed object's index. No-op for an unknown object.
  void release(const Uuid& object);

 private:
  struct Slot {
    std::optional<Uuid> object;  // in use by, or last used by
    std::list<std::uint32_t>::iterator free;
    bool used = false;
  };
  void take(std::uint32_t index, const Uuid& object);

  std::vector<Slot> slots_;
  std::list<std::uint32_t> free_;           // longest unused first
  std::map<Uuid, std::uint32_t> index_of_;  // used and released objects
};

}  // namespace sluice::dataplane
