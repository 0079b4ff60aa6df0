#include "model/checks.hpp"
#include "model/edit.hpp"
#include "model/edit_steps.hpp"

namespace sluice::model {

Result<Uuid> add(Model& model, Pool pool, std::optional<Uuid> listener, Timestamp now) {
  const Listener* front = nullptr;
  if (listener) {
    const auto found = find(model.listeners, *listener);
    if (!found) return tl::unexpected(found.error());
    front = *found;
    if (auto fits =
            first_failure({check_protocols_fit(front->protocol, pool.protocol),
                           check_idle_end_fits(*front, pool), check_scheduling_fits(*front, pool)});
        !fits) {
      return tl::unexpected(std::move(fits.error()));
    }
    if (front->default_pool_id) {
      return fail(ErrorKind::conflict, "This listener already has a default pool");
    }
    pool.load_balancer_id = front->load_balancer_id;
  }
  const auto owner = find(model.load_balancers, pool.load_balancer_id);
  if (!owner) return tl::unexpected(owner.error());
  begin(pool, (*owner)->project_id, now);
  if (auto ok = first_failure({check(pool), check_quota(model, pool)}); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }

  mark_load_balancer(model, pool.load_balancer_id);
  const auto id = pool.id;
  model.pools.put(std::move(pool));
  if (listener) {
    const auto fronting = model.listeners.change(*listener);
    fronting->default_pool_id = id;
    fronting->updated_at = now;
    mark_pending(*fronting);
  }
  return id;
}

Result<void> replace(Model& model, Pool pool, Timestamp now) {
  const auto current = find(model.pools, pool.id);
  if (!current) return tl::unexpected(current.error());
  const auto& old = **current;
  if (pool.load_balancer_id != old.load_balancer_id) {
    return immutable(kind_of(old), old.id, "loadbalancer_id");
  }
  if (pool.protocol != old.protocol) return immutable(kind_of(old), old.id, "protocol");
  if (auto ok = check(pool); !ok) return ok;
  if (auto ok = check_probe_vip_fits(monitor_of(model, pool.id), pool); !ok) return ok;
  for (const auto* listener : model.listeners.with(Facet::default_pool, pool.id)) {
    if (auto ok = first_failure(
            {check_idle_end_fits(*listener, pool), check_scheduling_fits(*listener, pool)});
        !ok) {
      return ok;
    }
  }

  carry_over(pool, old, now);
  mark_pool(model, pool.id);
  model.pools.put(std::move(pool));
  return {};
}

Result<void> remove_pool(Model& model, const Uuid& id, Timestamp now) {
  const auto found = find(model.pools, id);
  if (!found) return tl::unexpected(found.error());
  mark_load_balancer(model, (*found)->load_balancer_id);
  erase_pool(model, id, now);
  return {};
}

}  // namespace sluice::model
