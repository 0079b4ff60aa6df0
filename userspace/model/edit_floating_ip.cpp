#include "model/checks.hpp"
#include "model/edit.hpp"
#include "model/edit_steps.hpp"

namespace sluice::model {
namespace {

// Marks the load balancer, if one is named, as pending; fails if it doesn't exist.
Result<void> touch_load_balancer(Model& model, const std::optional<Uuid>& id) {
  if (!id) return {};
  const auto owner = find(model.load_balancers, *id);
  if (!owner) return tl::unexpected(owner.error());
  mark_load_balancer(model, *id);
  return {};
}

}  // namespace

Result<Uuid> add(Model& model, FloatingIp floating_ip, Timestamp now) {
  begin(floating_ip, {}, now);
  if (auto ok = first_failure(
          {check(floating_ip), check_address_is_free(model, floating_ip.address, {})});
      !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  if (auto ok = touch_load_balancer(model, floating_ip.load_balancer_id); !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  const auto id = floating_ip.id;
  model.floating_ips.put(std::move(floating_ip));
  return id;
}

Result<void> replace(Model& model, FloatingIp floating_ip, Timestamp now) {
  const auto current = find(model.floating_ips, floating_ip.id);
  if (!current) return tl::unexpected(current.error());
  const auto& old = **current;
  if (floating_ip.address != old.address) {
    return immutable(kind_of(old), old.id, "floating_ip_address");
  }
  if (floating_ip.network_id != old.network_id) {
    return immutable(kind_of(old), old.id, "floating_network_id");
  }
  if (auto ok = check(floating_ip); !ok) return ok;

  // If a floating IP moves, both load balancers change.
  if (auto ok = touch_load_balancer(model, floating_ip.load_balancer_id); !ok) return ok;
  if (auto ok = touch_load_balancer(model, old.load_balancer_id); !ok) return ok;
  carry_over(floating_ip, old, now);
  model.floating_ips.put(std::move(floating_ip));
  return {};
}

Result<void> remove_floating_ip(Model& model, const Uuid& id, Timestamp /*now*/) {
  const auto found = find(model.floating_ips, id);
  if (!found) return tl::unexpected(found.error());
  if (auto ok = touch_load_balancer(model, (*found)->load_balancer_id); !ok) return ok;
  model.floating_ips.erase(id);
  return {};
}

void detach_floating_ips(Model& model, const Uuid& load_balancer, Timestamp now) {
  for (const auto& id : ids(model.floating_ips.with(Facet::parent, load_balancer))) {
    const auto floating_ip = model.floating_ips.change(id);
    floating_ip->load_balancer_id.reset();
    floating_ip->updated_at = now;
    mark_pending(*floating_ip);
  }
}

}  // namespace sluice::model
