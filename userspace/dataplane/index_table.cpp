#include "dataplane/index_table.hpp"

namespace sluice::dataplane {

IndexTable::IndexTable(std::uint32_t capacity) : slots_(capacity) {
  for (std::uint32_t index = 0; index < capacity; ++index) {
    slots_[index].free = free_.insert(free_.end(), index);
  }
}

void IndexTable::take(std::uint32_t index, const Uuid& object) {
  Slot& slot = slots_[index];
  if (slot.object && *slot.object != object) index_of_.erase(*slot.object);
  if (!slot.used) free_.erase(slot.free);
  slot.object = object;
  slot.used = true;
  index_of_[object] = index;
}

void IndexTable::adopt(std::uint32_t index, const Uuid& object) {
  take(index, object);
}

void IndexTable::adopt_released(std::uint32_t index, const Uuid& object) {
  take(index, object);
  release(object);
}

std::optional<std::uint32_t> IndexTable::find(const Uuid& object) const {
  const auto found = index_of_.find(object);
  if (found == index_of_.end() || !slots_[found->second].used) return std::nullopt;
  return found->second;
}

std::optional<Uuid> IndexTable::object_at(std::uint32_t index) const {
  if (index >= slots_.size() || !slots_[index].used) return std::nullopt;
  return slots_[index].object;
}

std::optional<IndexTable::Allocation> IndexTable::allocate(
    const Uuid& object, const std::function<bool(std::uint32_t)>& reusable) {
  if (const auto former = index_of_.find(object); former != index_of_.end()) {
    const auto index = former->second;
    take(index, object);
    return Allocation{index, false};
  }
  for (const auto index : free_) {
    if (!reusable(index)) continue;
    take(index, object);
    return Allocation{index, true};
  }
  return std::nullopt;
}

void IndexTable::release(const Uuid& object) {
  const auto index = find(object);
  if (!index) return;
  Slot& slot = slots_[*index];
  slot.used = false;
  slot.free = free_.insert(free_.end(), *index);
}

}  // namespace sluice::dataplane
