#include "health/monitor.hpp"
#include "model/vips.hpp"

namespace sluice::health {
namespace {

using model::Facet;
using model::Model;

// The VIP that its probes ask for; unset: they ask for the member's own address, or for the one
// that the operator names.
std::optional<VipWay> vip_way(const Model& model, const model::Pool& pool,
                              const model::HealthMonitor& monitor, const model::Member& member) {
  if (!monitor.probe_vip || member.monitor_address) return std::nullopt;
  const auto* load_balancer = model.load_balancers.lookup(pool.load_balancer_id);
  if (!load_balancer) return std::nullopt;
  const auto vip = model::vip_of_version(*load_balancer, member.address.is_v6());
  if (!vip) return std::nullopt;
  return VipWay{*vip, pool.forwarding_mode};
}

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
                      .way = vip_way(model, *owner, *monitor, *member),
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
            [](const auto& a, const auto& b) {
              return a.admin_state_up == b.admin_state_up && a.forwarding_mode == b.forwarding_mode;
            }));
  // Probes may ask for the VIP.
  model::Table<model::LoadBalancer>::for_each_difference(
      before.load_balancers, after.load_balancers,
      [&](const Uuid& id, const auto* old, const auto* now) {
        if (!old || !now || model::vips(*old) == model::vips(*now)) return true;
        for (const auto* pool : after.pools.with(Facet::parent, id)) pools.insert(pool->id);
        return true;
      });
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
