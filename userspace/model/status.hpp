// Status: the operating status, which is derived from the model and the results of probing, never
// stored.
//
// The rules are the real Octavia service's (amphora health manager): see the table in
// model/README.md.
#pragma once

#include <functional>
#include <set>

#include "model/objects.hpp"
#include "model/relations.hpp"

namespace sluice::model {

enum class OperatingStatus { online, offline, degraded, error, draining, no_monitor };

// Listeners that have as many connections as their connection_limit allows.
using FullListeners = std::set<Uuid>;

OperatingStatus operating_status(const Relations& relations, const HealthTable& health,
                                 const LoadBalancer& object, const FullListeners& full = {});
OperatingStatus operating_status(const Relations& relations, const HealthTable& health,
                                 const Listener& object, const FullListeners& full = {});
OperatingStatus operating_status(const Relations& relations, const HealthTable& health,
                                 const Pool& object);
OperatingStatus operating_status(const Relations& relations, const HealthTable& health,
                                 const Member& object);
OperatingStatus operating_status(const HealthMonitor& object);
// The operating status of one object.
template <typename T, typename... Full>
OperatingStatus operating_status(const Model& model, const HealthTable& health, const T& object,
                                 const Full&... full) {
  return operating_status(Relations(model), health, object, full...);
}

// Says whether administration and probing allow the member new connections (the ring considers
// weight and backup). A member that was never probed is usable, because only a result may take
// members away.
bool usable(const HealthTable& health, const Member& member);

// Says whether a new connection of the load balancer finds a member: an enabled listener's default
// pool has a usable one with a weight. `is_down` has the health of a member, by its id.
bool has_usable_member(const Relations& relations, const LoadBalancer& object,
                       const std::function<bool(const Uuid&)>& is_down);

// Says whether the member is probed: it, its pool and the pool's monitor are enabled. Only such a
// member has health.
bool probed(const Model& model, const Member& member);
bool probed(const Relations& relations, const Member& member);

// The pool's health monitor, or null; the pool's members by creation time.
const HealthMonitor* monitor_of(const Model& model, const Uuid& pool);
std::vector<const Member*> members_of(const Model& model, const Uuid& pool);

}  // namespace sluice::model
