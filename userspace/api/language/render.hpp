// The model's objects as the API shows them: every attribute of the real service in its order,
// constants for what a layer-4 load balancer has no use for, ids of parents and children as [{"id":
// ...}].
#pragma once

#include <algorithm>
#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/objects.hpp"
#include "model/relations.hpp"
#include "model/status.hpp"

namespace sluice::api {

// What operating status and the ids of children are computed from.
struct View {
  View(const model::Model& shown, const model::HealthTable& known, model::FullListeners are_full,
       model::Relations::Questions questions = model::Relations::few)
      : model(shown), health(known), full(std::move(are_full)), relations(shown, questions) {}

  const model::Model& model;
  const model::HealthTable& health;
  model::FullListeners full;
  model::Relations relations;
};

boost::json::object render(const View& view, const model::LoadBalancer& object);
boost::json::object render(const View& view, const model::Listener& object);
boost::json::object render(const View& view, const model::Pool& object);
boost::json::object render(const View& view, const model::Member& object);
boost::json::object render(const View& view, const model::HealthMonitor& object);
boost::json::object render(const View& view, const model::FloatingIp& object);

// Makes the times those of an object that was just created: provisioning has not ended, so nothing
// has updated it. But the real service makes a listener first and ties its default pool to it,
// which is an update.
void show_as_never_updated(boost::json::object& rendered);

// A load balancer that was just created, with everything below it in full.
boost::json::object render_tree(const View& view, const model::LoadBalancer& object);

// The tree of {"statuses": {"loadbalancer": ...}}. Pools that no listener uses are absent from it.
boost::json::object render_status_tree(const View& view, const model::LoadBalancer& object);

// The objects of a table that satisfy `wanted`, oldest first (equal times: by id).
template <typename T, typename Predicate>
std::vector<const T*> oldest_first(const std::map<Uuid, T>& table, Predicate wanted) {
  std::vector<const T*> found;
  for (const auto& [id, object] : table) {
    if (wanted(object)) found.push_back(&object);
  }
  std::ranges::stable_sort(found, {}, [](const T* object) { return object->created_at; });
  return found;
}

}  // namespace sluice::api
