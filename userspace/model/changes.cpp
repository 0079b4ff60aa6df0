#include "model/changes.hpp"

#include <boost/pfr/tuple_size.hpp>
#include <limits>

namespace sluice::model {
namespace {

// A kind that is missing in the list would be neither stored nor applied.
constexpr std::size_t others = 2;  // quotas and drained nodes
static_assert(boost::pfr::tuple_size_v<Model> == kind_count + others);
static_assert(boost::pfr::tuple_size_v<Changes> == kind_count + others);

}  // namespace

bool Changes::empty() const {
  bool empty = !quotas && !drained_nodes;
  for_each_kind(*this, [&](const auto& changed) { empty = empty && changed.empty(); });
  return empty;
}

ChangeFinder::ChangeFinder(const Model& before, const Model& after) : differences_(before, after) {
  if (before.quotas != after.quotas) found_.quotas = after.quotas;
  if (before.drained_nodes != after.drained_nodes) found_.drained_nodes = after.drained_nodes;
}

bool ChangeFinder::step(std::size_t most) {
  return differences_.step(
      most, [&]<typename T>(const Kind<T>& kind, const Uuid& id, const T*, const T* now) {
        auto& changed = kind.of(found_);
        if (now) {
          changed.put.emplace_hint(changed.put.end(), id, *now);
        } else {
          changed.removed.insert(changed.removed.end(), id);
        }
      });
}

Changes changes_between(const Model& before, const Model& after) {
  ChangeFinder finder(before, after);
  while (!finder.step(std::numeric_limits<std::size_t>::max())) continue;
  return finder.take();
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
