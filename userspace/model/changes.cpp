#include "model/changes.hpp"

namespace sluice::model {
namespace {

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
  return load_balancers.empty() && listeners.empty() && pools.empty() && members.empty() &&
         health_monitors.empty() && floating_ips.empty() && !quotas && !drained_nodes;
}

Changes changes_between(const Model& before, const Model& after) {
  Changes changes;
  changes.load_balancers = differences(before.load_balancers, after.load_balancers);
  changes.listeners = differences(before.listeners, after.listeners);
  changes.pools = differences(before.pools, after.pools);
  changes.members = differences(before.members, after.members);
  changes.health_monitors = differences(before.health_monitors, after.health_monitors);
  changes.floating_ips = differences(before.floating_ips, after.floating_ips);
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
