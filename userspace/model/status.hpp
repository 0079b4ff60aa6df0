// Operating status: derived from the model and from what probing found, never stored.
//
// The rules are the real Octavia service's (amphora health manager): see the table in
// model/README.md.
#pragma once

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
// For one object.
template <typename T, typename... Full>
OperatingStatus operating_status(const Model& model, const HealthTable& health, const T& object,
                                 const Full&... full) {
  return operating_status(Relations(model), health, object, full...);
}

// May the member get new connections, as far as administration and probing say? (weight and backup
// are the ring's business.) A member that was never probed is usable: a monitor may take members
// away only by a result.
bool usable(const HealthTable& health, const Member& member);

// Is the member probed: are it, its pool and the pool's monitor enabled? Only such a member has
// health.
bool probed(const Model& model, const Member& member);
bool probed(const Relations& relations, const Member& member);

// The pool's health monitor, or null; the pool's members by creation time.
const HealthMonitor* monitor_of(const Model& model, const Uuid& pool);
std::vector<const Member*> members_of(const Model& model, const Uuid& pool);

}  // namespace sluice::model
