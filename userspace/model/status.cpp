#include "model/status.hpp"

#include <algorithm>
#include <tuple>

namespace sluice::model {
namespace {

// Created, but not in the data plane yet: it serves nobody.
bool not_there_yet(const Object& object) {
  return object.provisioning_status == ProvisioningStatus::pending_create;
}

bool attached(const Model& model, const Pool& pool) {
  return std::any_of(model.listeners.begin(), model.listeners.end(),
                     [&](const auto& entry) { return entry.second.default_pool_id == pool.id; });
}

std::optional<Health> health_of(const HealthTable& health, const Member& member) {
  const auto found = health.find(member.id);
  if (found == health.end()) return std::nullopt;
  return found->second;
}

}  // namespace

OperatingStatus operating_status(const Model& model, const HealthTable& health,
                                 const LoadBalancer& object, const FullListeners& full) {
  if (!object.admin_state_up || not_there_yet(object)) return OperatingStatus::offline;
  auto status = OperatingStatus::online;
  for (const auto& [id, pool] : model.pools) {
    if (pool.load_balancer_id != object.id) continue;
    const auto of_pool = operating_status(model, health, pool);
    if (of_pool == OperatingStatus::error) return OperatingStatus::error;
    if (of_pool == OperatingStatus::degraded) status = OperatingStatus::degraded;
  }
  for (const auto& id : full) {
    const auto listener = model.listeners.find(id);
    if (listener == model.listeners.end() || listener->second.load_balancer_id != object.id)
      continue;
    if (operating_status(model, health, listener->second, full) == OperatingStatus::degraded)
      status = OperatingStatus::degraded;
  }
  return status;
}

OperatingStatus operating_status(const Model& model, const HealthTable& /*health*/,
                                 const Listener& object, const FullListeners& full) {
  if (!object.admin_state_up || not_there_yet(object)) return OperatingStatus::offline;
  const auto owner = model.load_balancers.find(object.load_balancer_id);
  if (owner != model.load_balancers.end() && !owner->second.admin_state_up) {
    return OperatingStatus::offline;
  }
  // ERROR means that the data plane refused it: wanted, and missing there.
  if (object.provisioning_status == ProvisioningStatus::error) return OperatingStatus::error;
  return full.contains(object.id) ? OperatingStatus::degraded : OperatingStatus::online;
}

OperatingStatus operating_status(const Model& model, const HealthTable& health,
                                 const Pool& object) {
  if (!object.admin_state_up || not_there_yet(object) || !attached(model, object)) {
    return OperatingStatus::offline;
  }
  bool empty = true, serves = false, someone_down = false;
  for (const auto& [id, member] : model.members) {
    if (member.pool_id != object.id) continue;
    empty = false;
    if (usable(health, member)) {
      serves = serves || member.weight > 0;
    } else if (member.admin_state_up) {
      someone_down = true;
    }
  }
  if (empty) return OperatingStatus::online;
  if (!serves) return OperatingStatus::error;
  return someone_down ? OperatingStatus::degraded : OperatingStatus::online;
}

OperatingStatus operating_status(const Model& model, const HealthTable& health,
                                 const Member& object) {
  if (!object.admin_state_up) return OperatingStatus::offline;
  const auto* monitor = monitor_of(model, object.pool_id);
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

bool probed(const Model& model, const Member& member) {
  if (!member.admin_state_up) return false;
  const auto pool = model.pools.find(member.pool_id);
  if (pool == model.pools.end() || !pool->second.admin_state_up) return false;
  const auto* monitor = monitor_of(model, member.pool_id);
  return monitor != nullptr && monitor->admin_state_up;
}

const HealthMonitor* monitor_of(const Model& model, const Uuid& pool) {
  for (const auto& [id, monitor] : model.health_monitors) {
    if (monitor.pool_id == pool) return &monitor;
  }
  return nullptr;
}

std::vector<const Member*> members_of(const Model& model, const Uuid& pool) {
  std::vector<const Member*> members;
  for (const auto& [id, member] : model.members) {
    if (member.pool_id == pool) members.push_back(&member);
  }
  std::sort(members.begin(), members.end(), [](const Member* a, const Member* b) {
    return std::tie(a->created_at, a->id) < std::tie(b->created_at, b->id);
  });
  return members;
}

}  // namespace sluice::model
