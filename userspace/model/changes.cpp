#include "model/changes.hpp"

#include <boost/pfr/tuple_size.hpp>

namespace sluice::model {
namespace {

// A kind that is missing in the list would be neither stored nor applied.
constexpr std::size_t others = 2;  // quotas and drained nodes
static_assert(boost::pfr::tuple_size_v<Model> == kind_count + others);
static_assert(boost::pfr::tuple_size_v<Changes> == kind_count + others);

template <typename T>
ChangesOf<T> differences(const Table<T>& before, const Table<T>& after) {
  ChangesOf<T> changes;
  Table<T>::for_each_difference(before, after, [&](const Uuid& id, const T*, const T* now) {
    if (now) {
      changes.put.emplace_hint(changes.put.end(), id, *now);
    } else {
      changes.removed.insert(changes.removed.end(), id);
    }
    return true;
  });
  return changes;
}

}  // namespace

bool Changes::empty() const {
  bool empty = !quotas && !drained_nodes;
  for_each_kind(*this, [&](const auto& changed) { empty = empty && changed.empty(); });
  return empty;
}

Changes changes_between(const Model& before, const Model& after) {
  Changes changes;
  std::apply(
      [&](const auto&... kind) {
        ((changes.*kind.changes = differences(before.*kind.objects, after.*kind.objects)), ...);
      },
      kinds);
  if (before.quotas != after.quotas) changes.quotas = after.quotas;
  if (before.drained_nodes != after.drained_nodes) changes.drained_nodes = after.drained_nodes;
  return changes;
}

void apply(Model& model, const Changes& changes) {
  for_each_kind(model, changes, [](auto& objects, const auto& changed) {
    for (const auto& id : changed.removed) objects.erase(id);
    for (const auto& [id, object] : changed.put) objects.put(object);
  });
  if (changes.quotas) model.quotas = *changes.quotas;
  if (changes.drained_nodes) model.drained_nodes = *changes.drained_nodes;
}

}  // namespace sluice::model
