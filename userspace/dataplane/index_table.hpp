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
#include "control/data_plane.hpp"

namespace sluice::dataplane {

// Object: what names one, a Uuid or a control::PoolKey.
template <typename Object>
class IndexTableOf {
 public:
  explicit IndexTableOf(std::uint32_t capacity);

  // At start, from what the maps hold: the index is in use, or was when its object was removed.
  void adopt(std::uint32_t index, const Object& object);
  void adopt_released(std::uint32_t index, const Object& object);

  std::optional<std::uint32_t> find(const Object& object) const;
  std::optional<Object> object_at(std::uint32_t index) const;

  struct Allocation {
    std::uint32_t index = 0;
    bool fresh = true;  // false: the object's own former index, its counters go on
  };
  // nullopt: every index is in use or not `reusable`. Precondition: find(object) is empty.
  std::optional<Allocation> allocate(const Object& object,
                                     const std::function<bool(std::uint32_t)>& reusable);
  // Undoes an allocation, or gives up a removed object's index. No-op for an unknown object.
  void release(const Object& object);

 private:
  struct Slot {
    std::optional<Object> object;  // in use by, or last used by
    std::list<std::uint32_t>::iterator free;
    bool used = false;
  };
  void take(std::uint32_t index, const Object& object);

  std::vector<Slot> slots_;
  std::list<std::uint32_t> free_;             // longest unused first
  std::map<Object, std::uint32_t> index_of_;  // used and released objects
};

using IndexTable = IndexTableOf<Uuid>;

}  // namespace sluice::dataplane
