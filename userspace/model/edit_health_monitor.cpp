#include "model/checks.hpp"
#include "model/edit.hpp"
#include "model/edit_steps.hpp"
#include "model/status.hpp"

namespace sluice::model {

Result<Uuid> add(Model& model, HealthMonitor monitor, Timestamp now) {
  const auto pool = find(model.pools, monitor.pool_id);
  if (!pool) return tl::unexpected(pool.error());
  begin(monitor, (*pool)->project_id, now);
  if (auto ok = check(monitor); !ok) return tl::unexpected(std::move(ok.error()));
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
  if (auto ok = check(monitor); !ok) return ok;

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
