#include "dataplane/index_table.hpp"

#include <algorithm>

namespace sluice::dataplane {

template <typename Object>
IndexTableOf<Object>::IndexTableOf(std::uint32_t capacity, std::uint32_t bank_size)
    : bank_size_(bank_size), slots_(capacity), free_((capacity + bank_size - 1) / bank_size) {
  for (std::uint32_t bank = 0; bank < free_.size(); ++bank)
    used_.push_back({bank * bank_size_, bank * bank_size_});
  for (std::uint32_t index = 0; index < capacity; ++index) {
    auto& free = free_[index / bank_size_];
    slots_[index].free = free.insert(free.end(), index);
  }
}

template <typename Object>
void IndexTableOf<Object>::take(std::uint32_t index, const Object& object) {
  Slot& slot = slots_[index];
  if (slot.object && *slot.object != object) index_of_.erase(*slot.object);
  if (!slot.used) free_[index / bank_size_].erase(slot.free);
  slot.object = object;
  slot.used = true;
  index_of_[object] = index;
  auto& end = used_[index / bank_size_].end;
  end = std::max(end, index + 1);
}

template <typename Object>
void IndexTableOf<Object>::adopt(std::uint32_t index, const Object& object) {
  take(index, object);
}

template <typename Object>
void IndexTableOf<Object>::adopt_released(std::uint32_t index, const Object& object) {
  take(index, object);
  release(object);
}

template <typename Object>
std::optional<std::uint32_t> IndexTableOf<Object>::find(const Object& object) const {
  const auto found = index_of_.find(object);
  if (found == index_of_.end() || !slots_[found->second].used) return std::nullopt;
  return found->second;
}

template <typename Object>
std::optional<Object> IndexTableOf<Object>::object_at(std::uint32_t index) const {
  if (index >= slots_.size() || !slots_[index].used) return std::nullopt;
  return slots_[index].object;
}

template <typename Object>
auto IndexTableOf<Object>::allocate(const Object& object,
                                    const std::function<bool(std::uint32_t)>& reusable,
                                    std::uint32_t bank) -> std::optional<Allocation> {
  if (const auto former = index_of_.find(object); former != index_of_.end()) {
    const auto index = former->second;
    if (index / bank_size_ == bank) {
      take(index, object);
      return Allocation{index, false};
    }
    slots_[index].object.reset();
    index_of_.erase(former);
  }
  for (const auto index : free_[bank]) {
    if (!reusable(index)) continue;
    take(index, object);
    return Allocation{index, true};
  }
  return std::nullopt;
}

template <typename Object>
void IndexTableOf<Object>::release(const Object& object) {
  const auto index = find(object);
  if (!index) return;
  Slot& slot = slots_[*index];
  slot.used = false;
  auto& free = free_[*index / bank_size_];
  slot.free = free.insert(free.end(), *index);
}

template class IndexTableOf<Uuid>;
template class IndexTableOf<control::PoolKey>;

}  // namespace sluice::dataplane
