#include <fmt/format.h>

#include "model/checks.hpp"
#include "model/edit.hpp"
#include "model/edit_steps.hpp"
#include "model/names.hpp"
#include "model/status.hpp"

namespace sluice::model {
namespace {

// A UDP-CONNECT probe of a healthy member waits for an error that doesn't come.
constexpr std::uint32_t least_udp_connect_delay = 3;

Result<void> check_type(MonitorType type, Protocol pool_protocol) {
  const bool datagrams = transport(pool_protocol) != Protocol::tcp;
  const bool for_datagrams_only = type == MonitorType::udp_connect || type == MonitorType::sctp;
  if (!datagrams && for_datagrams_only) {
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: The {} type is only supported for pools of type "
                            "UDP/SCTP.",
                            name(type)));
  }
  if (type == MonitorType::external) return {};  // the program knows what it asks
  if (datagrams && !for_datagrams_only && type != MonitorType::tcp && type != MonitorType::http) {
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: The associated pool protocol is {}, so only a "
                            "UDP-CONNECT/SCTP/TCP/HTTP health monitor is supported.",
                            name(pool_protocol)));
  }
  return {};
}

// Checks the monitor's own attributes, and then what its pool allows.
Result<void> check_on_pool(const HealthMonitor& monitor, const Pool& pool) {
  if (auto ok = check(monitor); !ok) return ok;
  if (auto ok = check_type(monitor.type, pool.protocol); !ok) return ok;
  if (monitor.type == MonitorType::udp_connect && monitor.delay_seconds < least_udp_connect_delay) {
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: The request delay value {} should be larger than "
                            "{} for {} health monitor type.",
                            monitor.delay_seconds, least_udp_connect_delay, name(monitor.type)));
  }
  return check_probe_vip_fits(&monitor, pool);
}

Result<void> check_members(const Model& model, const HealthMonitor& monitor) {
  for (const auto* member : model.members.with(Facet::parent, monitor.pool_id)) {
    if (auto ok = check_port_to_probe(*member, &monitor); !ok) return ok;
  }
  return {};
}

}  // namespace

Result<Uuid> add(Model& model, HealthMonitor monitor, Timestamp now) {
  const auto pool = find(model.pools, monitor.pool_id);
  if (!pool) return tl::unexpected(pool.error());
  begin(monitor, (*pool)->project_id, now);
  if (auto ok = first_failure({check_on_pool(monitor, **pool), check_members(model, monitor),
                               check_quota(model, monitor)});
      !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  if (monitor_of(model, monitor.pool_id) != nullptr) {
    return fail(ErrorKind::conflict, "This pool already has a health monitor");
  }
  mark_pool(model, monitor.pool_id);
  const auto id = monitor.id;
  model.health_monitors.put(std::move(monitor));
  return id;
}

Result<void> replace(Model& model, HealthMonitor monitor, Timestamp now) {
  const auto current = find(model.health_monitors, monitor.id);
  if (!current) return tl::unexpected(current.error());
  const auto& old = **current;
  if (monitor.pool_id != old.pool_id) return immutable(kind_of(old), old.id, "pool_id");
  if (monitor.type != old.type) return immutable(kind_of(old), old.id, "type");
  if (auto ok = check_on_pool(monitor, model.pools.at(old.pool_id)); !ok) return ok;

  mark_pool(model, old.pool_id);
  carry_over(monitor, old, now);
  model.health_monitors.put(std::move(monitor));
  return {};
}

Result<void> remove_health_monitor(Model& model, const Uuid& id, Timestamp /*now*/) {
  const auto found = find(model.health_monitors, id);
  if (!found) return tl::unexpected(found.error());
  mark_pool(model, (*found)->pool_id);
  model.health_monitors.erase(id);
  return {};
}

}  // namespace sluice::model
