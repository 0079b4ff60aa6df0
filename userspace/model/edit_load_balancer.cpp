#include <fmt/format.h>

#include <algorithm>

#include "model/checks.hpp"
#include "model/edit.hpp"
#include "model/edit_steps.hpp"
#include "model/vips.hpp"

namespace sluice::model {
namespace {

bool has_children(const Model& model, const Uuid& load_balancer) {
  return model.listeners.first(Facet::parent, load_balancer) != nullptr ||
         model.pools.first(Facet::parent, load_balancer) != nullptr;
}

void erase_children(Model& model, const Uuid& load_balancer, Timestamp now) {
  for (const auto& listener : ids(model.listeners.with(Facet::parent, load_balancer))) {
    model.listeners.erase(listener);
  }
  for (const auto& pool : ids(model.pools.with(Facet::parent, load_balancer))) {
    erase_pool(model, pool, now);
  }
}

Result<void> check_are_free(const Model& model, const std::vector<IpAddress>& addresses,
                            const Uuid& self) {
  for (const auto& address : addresses) {
    if (auto free = check_address_is_free(model, address, self); !free) return free;
  }
  return {};
}

}  // namespace

Result<Uuid> add(Model& model, LoadBalancer load_balancer, Timestamp now) {
  begin(load_balancer, {}, now);
  if (auto ok = first_failure({check(load_balancer),
                               check_are_free(model, own_addresses(load_balancer), {}),
                               check_quota(model, load_balancer)});
      !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  if (load_balancer.vip_port_id.is_nil()) load_balancer.vip_port_id = new_uuid();
  const auto id = load_balancer.id;
  model.load_balancers.put(std::move(load_balancer));
  return id;
}

Result<void> replace(Model& model, LoadBalancer load_balancer, Timestamp now) {
  const auto current = find(model.load_balancers, load_balancer.id);
  if (!current) return tl::unexpected(current.error());
  const auto& old = **current;
  const auto fixed = [&](std::string_view attribute) {
    return immutable(kind_of(old), old.id, attribute);
  };
  if (load_balancer.vip_address != old.vip_address) return fixed("vip_address");
  if (load_balancer.additional_vips != old.additional_vips) return fixed("additional_vips");
  if (load_balancer.vip_port_id != old.vip_port_id) return fixed("vip_port_id");
  if (load_balancer.vip_subnet_id != old.vip_subnet_id) return fixed("vip_subnet_id");
  if (load_balancer.vip_network_id != old.vip_network_id) return fixed("vip_network_id");
  if (load_balancer.provider != old.provider) return fixed("provider");
  if (auto ok =
          first_failure({check(load_balancer),
                         check_are_free(model, load_balancer.snat_addresses, load_balancer.id)});
      !ok) {
    return ok;
  }

  carry_over(load_balancer, old, now);
  model.load_balancers.put(std::move(load_balancer));
  return {};
}

Result<void> touch_load_balancer(Model& model, const Uuid& id, Timestamp now) {
  const auto found = find(model.load_balancers, id);
  if (!found) return tl::unexpected(found.error());
  const auto load_balancer = model.load_balancers.change(id);
  mark_pending(*load_balancer);
  load_balancer->updated_at = now;  // refuse_busy() looks here for a change of the object itself
  return {};
}

Result<void> remove_load_balancer(Model& model, const Uuid& id, bool cascade, Timestamp now) {
  if (const auto found = find(model.load_balancers, id); !found) {
    return tl::unexpected(found.error());
  }
  if (!cascade && has_children(model, id)) {
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: Cannot delete Load Balancer {} - it has children",
                            to_string(id)));
  }
  erase_children(model, id, now);
  detach_floating_ips(model, id, now);
  model.load_balancers.erase(id);
  return {};
}

}  // namespace sluice::model
