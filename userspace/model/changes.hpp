// Changes: the difference between two models as a value, so that it can be stored on another thread
// and applied to a model that has moved on in the meantime.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "model/objects.hpp"

namespace sluice::model {

// The changes of the objects of one kind.
template <typename T>
struct ChangesOf {
  std::map<Uuid, T> put;  // new or different, as they are now
  std::set<Uuid> removed;

  bool empty() const { return put.empty() && removed.empty(); }
  bool operator==(const ChangesOf&) const = default;
};

struct Changes {
  ChangesOf<LoadBalancer> load_balancers;
  ChangesOf<Listener> listeners;
  ChangesOf<Pool> pools;
  ChangesOf<Member> members;
  ChangesOf<HealthMonitor> health_monitors;
  ChangesOf<FloatingIp> floating_ips;
  // All of them, where any changed.
  std::optional<Quotas> quotas;
  std::optional<DrainedNodes> drained_nodes;

  bool empty() const;
  bool operator==(const Changes&) const = default;
};

Changes changes_between(const Model& before, const Model& after);

// apply(before, changes_between(before, after)) makes `before` equal to `after`. Objects that the
// changes don't name stay as they are.
void apply(Model& model, const Changes& changes);

// Calls `visit` with the table of each kind of object in both, load balancers first and what refers
// to an object after it: visit(model.pools, changes.pools).
template <typename AnyModel, typename AnyChanges, typename Visit>
void for_each_kind(AnyModel& model, AnyChanges& changes, Visit visit) {
  visit(model.load_balancers, changes.load_balancers);
  visit(model.pools, changes.pools);
  visit(model.listeners, changes.listeners);
  visit(model.members, changes.members);
  visit(model.health_monitors, changes.health_monitors);
  visit(model.floating_ips, changes.floating_ips);
}

}  // namespace sluice::model
