#include "health/monitor.hpp"

namespace sluice::health {
namespace {

using model::Facet;
using model::Model;

void add_targets(std::vector<Target>& result, const Model& model, const model::HealthTable& health,
                 const Uuid& pool) {
  const auto* owner = model.pools.lookup(pool);
  const auto* monitor = model.health_monitors.first(Facet::parent, pool);
  if (!owner || !owner->admin_state_up || !monitor || !monitor->admin_state_up) return;
  const auto settings = std::make_shared<const model::HealthMonitor>(*monitor);
  for (const auto* member : model.members.with(Facet::parent, pool)) {
    if (!member->admin_state_up) continue;
    const auto* known = health.lookup(member->id);
    result.push_back({.member = member->id,
                      .address = member->monitor_address.value_or(member->address),
                      .port = member->monitor_port.value_or(member->protocol_port),
                      .settings = settings,
                      .proxied = owner->protocol == model::Protocol::proxyv2,
                      .known = known ? std::optional(*known) : std::nullopt});
  }
}

// What of a member its probe depends on.
bool probed_alike(const model::Member& a, const model::Member& b) {
  return a.admin_state_up == b.admin_state_up && a.pool_id == b.pool_id && a.address == b.address &&
         a.protocol_port == b.protocol_port && a.monitor_address == b.monitor_address &&
         a.monitor_port == b.monitor_port;
}

// Are they the same but for name and progress?
bool probe_alike(const model::HealthMonitor& a, const model::HealthMonitor& b) {
  auto same = a;
  static_cast<model::Object&>(same) = b;
  return a.admin_state_up == b.admin_state_up && same == b;
}

// Pools with members whose probes are not what they were.
std::set<Uuid> pools_with_other_probes(const Model& before, const Model& after) {
  std::set<Uuid> pools;
  const auto visit = [&](auto pool_of, auto alike) {
    return [&pools, pool_of, alike](const Uuid&, const auto* old, const auto* now) {
      if (old && now && alike(*old, *now)) return true;
      for (const auto* one : {old, now}) {
        if (one) pools.insert(pool_of(*one));
      }
      return true;
    };
  };
  const auto parent = [](const auto& object) { return object.pool_id; };
  model::Table<model::Member>::for_each_difference(before.members, after.members,
                                                   visit(parent, probed_alike));
  model::Table<model::HealthMonitor>::for_each_difference(
      before.health_monitors, after.health_monitors, visit(parent, probe_alike));
  model::Table<model::Pool>::for_each_difference(
      before.pools, after.pools,
      visit([](const auto& pool) { return pool.id; },
            [](const auto& a, const auto& b) { return a.admin_state_up == b.admin_state_up; }));
  return pools;
}

}  // namespace

std::vector<Target> targets(const Model& model, const model::HealthTable& health) {
  std::vector<Target> result;
  for (const auto& [id, monitor] : model.health_monitors) {
    add_targets(result, model, health, monitor.pool_id);
  }
  return result;
}

TargetChange target_change(const Model& before, const Model& after,
                           const model::HealthTable& health) {
  TargetChange change;
  const auto has_monitor = [](const Model& model, const Uuid& pool) {
    return model.health_monitors.first(Facet::parent, pool) != nullptr;
  };
  for (const auto& pool : pools_with_other_probes(before, after)) {
    if (!has_monitor(before, pool) && !has_monitor(after, pool))
      continue;  // nobody was or is probed
    for (const auto* model : {&before, &after}) {
      for (const auto* member : model->members.with(Facet::parent, pool)) {
        change.members.insert(member->id);
      }
    }
    add_targets(change.targets, after, health, pool);
  }
  return change;
}

}  // namespace sluice::health
