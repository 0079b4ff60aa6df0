#include "model/status.hpp"

#include <algorithm>

namespace sluice::model {
namespace {

// Says whether the object was created, but is not in the data plane yet.
bool not_there_yet(const Object& object) {
  return object.provisioning_status == ProvisioningStatus::pending_create;
}

std::optional<Health> health_of(const HealthTable& health, const Member& member) {
  const auto found = health.find(member.id);
  if (found == health.end()) return std::nullopt;
  return found->second;
}

}  // namespace

OperatingStatus operating_status(const Relations& relations, const HealthTable& health,
                                 const LoadBalancer& object, const FullListeners& full) {
  if (!object.admin_state_up || not_there_yet(object)) return OperatingStatus::offline;
  auto status = OperatingStatus::online;
  for (const auto* pool : relations.pools_of(object.id)) {
    const auto of_pool = operating_status(relations, health, *pool);
    if (of_pool == OperatingStatus::error) return OperatingStatus::error;
    if (of_pool == OperatingStatus::degraded) status = OperatingStatus::degraded;
  }
  for (const auto& id : full) {
    const auto& listeners = relations.model().listeners;
    const auto listener = listeners.find(id);
    if (listener == listeners.end() || listener->second.load_balancer_id != object.id) continue;
    if (operating_status(relations, health, listener->second, full) == OperatingStatus::degraded)
      status = OperatingStatus::degraded;
  }
  return status;
}

OperatingStatus operating_status(const Relations& relations, const HealthTable& /*health*/,
                                 const Listener& object, const FullListeners& full) {
  if (!object.admin_state_up || not_there_yet(object)) return OperatingStatus::offline;
  const auto& load_balancers = relations.model().load_balancers;
  const auto owner = load_balancers.find(object.load_balancer_id);
  if (owner != load_balancers.end() && !owner->second.admin_state_up) {
    return OperatingStatus::offline;
  }
  // ERROR means that the data plane has refused it.
  if (object.provisioning_status == ProvisioningStatus::error) return OperatingStatus::error;
  return full.contains(object.id) ? OperatingStatus::degraded : OperatingStatus::online;
}

OperatingStatus operating_status(const Relations& relations, const HealthTable& health,
                                 const Pool& object) {
  if (!object.admin_state_up || not_there_yet(object) ||
      relations.listeners_with(object.id).empty()) {
    return OperatingStatus::offline;
  }
  bool empty = true, serves = false, someone_down = false;
  for (const auto* member : relations.members_of(object.id)) {
    empty = false;
    if (usable(health, *member)) {
      serves = serves || member->weight > 0;
    } else if (member->admin_state_up) {
      someone_down = true;
    }
  }
  if (empty) return OperatingStatus::online;
  if (!serves) return OperatingStatus::error;
  return someone_down ? OperatingStatus::degraded : OperatingStatus::online;
}

OperatingStatus operating_status(const Relations& relations, const HealthTable& health,
                                 const Member& object) {
  if (!object.admin_state_up) return OperatingStatus::offline;
  const auto* monitor = relations.monitor_of(object.pool_id);
  const bool monitored = monitor != nullptr && monitor->admin_state_up;
  const auto probe = monitored ? health_of(health, object) : std::nullopt;
  if (probe == Health::down) return OperatingStatus::error;
  if (object.weight == 0 && !not_there_yet(object)) return OperatingStatus::draining;
  if (!monitored) return OperatingStatus::no_monitor;
  return probe == Health::up ? OperatingStatus::online : OperatingStatus::offline;
}

OperatingStatus operating_status(const HealthMonitor& object) {
  if (!object.admin_state_up || not_there_yet(object)) return OperatingStatus::offline;
  return OperatingStatus::online;
}

bool usable(const HealthTable& health, const Member& member) {
  return member.admin_state_up && health_of(health, member) != Health::down;
}

bool has_usable_member(const Relations& relations, const LoadBalancer& object,
                       const std::function<bool(const Uuid&)>& is_down) {
  const auto& pools = relations.model().pools;
  return std::ranges::any_of(relations.listeners_of(object.id), [&](const Listener* listener) {
    if (!listener->admin_state_up || !listener->default_pool_id) return false;
    const auto* pool = pools.lookup(*listener->default_pool_id);
    if (!pool || !pool->admin_state_up) return false;
    return std::ranges::any_of(relations.members_of(pool->id), [&](const Member* member) {
      return member->admin_state_up && member->weight > 0 && !is_down(member->id);
    });
  });
}

bool probed(const Relations& relations, const Member& member) {
  if (!member.admin_state_up) return false;
  const auto& pools = relations.model().pools;
  const auto pool = pools.find(member.pool_id);
  if (pool == pools.end() || !pool->second.admin_state_up) return false;
  const auto* monitor = relations.monitor_of(member.pool_id);
  return monitor != nullptr && monitor->admin_state_up;
}

bool probed(const Model& model, const Member& member) {
  return probed(Relations(model), member);
}

const HealthMonitor* monitor_of(const Model& model, const Uuid& pool) {
  return Relations(model).monitor_of(pool);
}

std::vector<const Member*> members_of(const Model& model, const Uuid& pool) {
  return Relations(model).members_of(pool);
}

}  // namespace sluice::model
