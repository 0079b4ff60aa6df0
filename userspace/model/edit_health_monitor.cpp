#include <fmt/format.h>

#include "model/checks.hpp"
#include "model/edit.hpp"
#include "model/edit_steps.hpp"
#include "model/names.hpp"
#include "model/status.hpp"

namespace sluice::model {
namespace {

constexpr std::uint32_t least_udp_connect_delay = 3;  // as the real service is configured

// Which types can probe members that speak the pool's protocol.
Result<void> check_fits_pool(const HealthMonitor& monitor, const Pool& pool) {
  const bool datagrams = transport(pool.protocol) != Protocol::tcp;
  switch (monitor.type) {
    case MonitorType::udp_connect:
    case MonitorType::sctp:
      if (datagrams) break;
      return fail(ErrorKind::invalid,
                  fmt::format("Validation failure: The {} type is only supported for pools of type "
                              "UDP/SCTP.",
                              name(monitor.type)));
    case MonitorType::https:
    case MonitorType::ping:
    case MonitorType::tls_hello:
      if (!datagrams) break;
      return fail(ErrorKind::invalid,
                  fmt::format("Validation failure: The associated pool protocol is {}, so only a "
                              "UDP-CONNECT/SCTP/TCP/HTTP health monitor is supported.",
                              name(pool.protocol)));
    case MonitorType::http:
    case MonitorType::tcp:
      break;
  }
  if (monitor.type == MonitorType::udp_connect && monitor.delay_seconds < least_udp_connect_delay) {
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: The request delay value {} should be larger than "
                            "{} for UDP-CONNECT health monitor type.",
                            monitor.delay_seconds, least_udp_connect_delay));
  }
  return {};
}

}  // namespace

Result<Uuid> add(Model& model, HealthMonitor monitor, Timestamp now) {
  const auto pool = find(model.pools, monitor.pool_id);
  if (!pool) return tl::unexpected(pool.error());
  begin(monitor, (*pool)->project_id, now);
  if (auto ok = first_failure({check_fits_pool(monitor, **pool), check(monitor)}); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  if (monitor_of(model, monitor.pool_id) != nullptr) {
    return fail(ErrorKind::conflict, "This pool already has a health monitor");
  }
  mark_pool(model, monitor.pool_id);
  const auto id = monitor.id;
  model.health_monitors.emplace(id, std::move(monitor));
  return id;
}

Result<void> replace(Model& model, HealthMonitor monitor, Timestamp now) {
  const auto current = find(model.health_monitors, monitor.id);
  if (!current) return tl::unexpected(current.error());
  const auto& old = **current;
  if (monitor.pool_id != old.pool_id) return immutable(kind_of(old), old.id, "pool_id");
  if (monitor.type != old.type) return immutable(kind_of(old), old.id, "type");
  const auto& pool = model.pools.at(old.pool_id);
  if (auto ok = first_failure({check_fits_pool(monitor, pool), check(monitor)}); !ok) return ok;

  mark_pool(model, old.pool_id);
  carry_over(monitor, old, now);
  **current = std::move(monitor);
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
