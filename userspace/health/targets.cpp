#include <map>

#include "health/monitor.hpp"

namespace sluice::health {

std::vector<Target> targets(const model::Model& model, const model::HealthTable& health) {
  std::map<Uuid, std::shared_ptr<const model::HealthMonitor>> monitors;  // by pool
  for (const auto& [id, monitor] : model.health_monitors) {
    const auto pool = model.pools.find(monitor.pool_id);
    if (monitor.admin_state_up && pool != model.pools.end() && pool->second.admin_state_up) {
      monitors.emplace(monitor.pool_id, std::make_shared<const model::HealthMonitor>(monitor));
    }
  }

  std::vector<Target> result;
  for (const auto& [id, member] : model.members) {
    const auto monitor = monitors.find(member.pool_id);
    if (!member.admin_state_up || monitor == monitors.end()) continue;
    const auto known = health.find(id);
    result.push_back(
        {.member = id,
         .address = member.monitor_address.value_or(member.address),
         .port = member.monitor_port.value_or(member.protocol_port),
         .settings = monitor->second,
         .known = known == health.end() ? std::nullopt : std::optional(known->second)});
  }
  return result;
}

}  // namespace sluice::health
