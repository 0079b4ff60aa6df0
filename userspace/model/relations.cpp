#include "model/relations.hpp"

#include <algorithm>
#include <tuple>

namespace sluice::model {
namespace {

template <typename T>
void sort_oldest_first(std::vector<const T*>& objects) {
  std::ranges::sort(objects, [](const T* a, const T* b) {
    return std::tie(a->created_at, a->id) < std::tie(b->created_at, b->id);
  });
}

}  // namespace

// `parent_of` gives an object's parent, as a Uuid or an optional one.
template <typename T, typename Parent>
std::vector<const T*> Relations::children(Children<T>& known, const std::map<Uuid, T>& table,
                                          const Uuid& parent, Parent parent_of) const {
  if (questions_ == many && !known) {
    known.emplace();
    for (const auto& [id, object] : table) {
      if (const std::optional<Uuid> owner = parent_of(object)) (*known)[*owner].push_back(&object);
    }
    for (auto& [owner, objects] : *known) sort_oldest_first(objects);
  }
  if (known) {
    const auto found = known->find(parent);
    return found == known->end() ? std::vector<const T*>() : found->second;
  }
  std::vector<const T*> found;
  for (const auto& [id, object] : table) {
    if (parent_of(object) == parent) found.push_back(&object);
  }
  sort_oldest_first(found);
  return found;
}

std::vector<const Listener*> Relations::listeners_of(const Uuid& load_balancer) const {
  return children(listeners_of_, model_.listeners, load_balancer,
                  [](const Listener& listener) { return listener.load_balancer_id; });
}

std::vector<const Pool*> Relations::pools_of(const Uuid& load_balancer) const {
  return children(pools_, model_.pools, load_balancer,
                  [](const Pool& pool) { return pool.load_balancer_id; });
}

std::vector<const Listener*> Relations::listeners_with(const Uuid& pool) const {
  return children(listeners_with_, model_.listeners, pool,
                  [](const Listener& listener) { return listener.default_pool_id; });
}

std::vector<const Member*> Relations::members_of(const Uuid& pool) const {
  return children(members_, model_.members, pool,
                  [](const Member& member) { return member.pool_id; });
}

const HealthMonitor* Relations::monitor_of(const Uuid& pool) const {
  const auto found = children(monitors_, model_.health_monitors, pool,
                              [](const HealthMonitor& monitor) { return monitor.pool_id; });
  return found.empty() ? nullptr : found.front();
}

}  // namespace sluice::model
