// Render: shows the model's objects as the API does, with every attribute of the real service in
// its order, constants for those that a layer-4 load balancer has no use for, and ids of parents
// and children as [{"id": ...}].
#pragma once

#include <algorithm>
#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "control/fleet.hpp"
#include "model/objects.hpp"
#include "model/relations.hpp"
#include "model/status.hpp"

namespace sluice::api {

// The source of operating status and the ids of children.
struct View {
  View(const model::Model& shown, const model::HealthTable& known, model::FullListeners are_full)
      : model(shown), health(known), full(std::move(are_full)), relations(shown) {}

  const model::Model& model;
  const model::HealthTable& health;
  model::FullListeners full;
  model::Relations relations;
  const control::Fleet* fleet = nullptr;  // null: this node is alone
};

boost::json::object render(const View& view, const model::LoadBalancer& object);
boost::json::object render(const View& view, const model::Listener& object);
boost::json::object render(const View& view, const model::Pool& object);
boost::json::object render(const View& view, const model::Member& object);
boost::json::object render(const View& view, const model::HealthMonitor& object);
boost::json::object render(const View& view, const model::FloatingIp& object);

// Shows an object that was just created as never updated, because its provisioning has not ended. A
// listener with a default pool is an exception: the real service ties the pool to it afterwards,
// which is an update.
void show_as_never_updated(boost::json::object& rendered);

// Shows a load balancer that was just created, with everything below it in full.
boost::json::object render_tree(const View& view, const model::LoadBalancer& object);

// Shows the tree of {"statuses": {"loadbalancer": ...}}, without pools that no listener uses.
boost::json::object render_status_tree(const View& view, const model::LoadBalancer& object);

// The objects of a table that satisfy `wanted`, oldest first (equal times: by id).
template <typename T, typename Predicate>
std::vector<const T*> oldest_first(const model::Table<T>& table, Predicate wanted) {
  std::vector<const T*> found;
  table.walk(model::Facet::any, {}, [&](const T& object) {
    if (wanted(object)) found.push_back(&object);
    return true;
  });
  return found;
}

}  // namespace sluice::api
