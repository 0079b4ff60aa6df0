#include <fmt/format.h>

#include "model/checks.hpp"
#include "model/edit.hpp"
#include "model/edit_steps.hpp"
#include "model/names.hpp"
#include "model/vips.hpp"

namespace sluice::model {
namespace {

// Checks that no other listener of the load balancer has one of the ports with the same protocol on
// the wire: TCP, HTTP and HTTPS exclude each other.
Result<void> check_ports_are_free(const Model& model, const Listener& listener) {
  for (const auto* sibling : model.listeners.with(Facet::parent, listener.load_balancer_id)) {
    const auto& other = *sibling;
    if (transport(other.protocol) != transport(listener.protocol) ||
        last_port(other) < listener.protocol_port || last_port(listener) < other.protocol_port) {
      continue;
    }
    if (!listener.protocol_port_range && !other.protocol_port_range) {
      return fail(ErrorKind::conflict,
                  fmt::format("Another Listener on this Load Balancer is already using protocol {} "
                              "and protocol_port {}",
                              name(other.protocol), listener.protocol_port));
    }
    return fail(ErrorKind::conflict,
                fmt::format("Another Listener on this Load Balancer, {}, is already using protocol "
                            "{} and protocol_port {}",
                            other.name.empty() ? to_string(other.id) : other.name,
                            name(other.protocol), ports_text(other)));
  }
  return {};
}

// Checks that the default pool, if there is one, belongs to the same load balancer.
Result<void> check_default_pool(const Model& model, const Listener& listener) {
  if (!listener.default_pool_id) return {};
  const auto pool = model.pools.find(*listener.default_pool_id);
  const bool ours =
      pool != model.pools.end() && pool->second.load_balancer_id == listener.load_balancer_id;
  if (!ours) return not_found(kind_of(Pool{}), *listener.default_pool_id);
  return first_failure({check_protocols_fit(listener.protocol, pool->second.protocol),
                        check_idle_end_fits(listener, pool->second),
                        check_scheduling_fits(listener, pool->second)});
}

// Checks that the clients' addresses have the IP version of a VIP.
Result<void> check_allowed_cidrs(const LoadBalancer& owner, const Listener& listener) {
  for (const auto& cidr : listener.allowed_cidrs) {
    if (vip_of_version(owner, cidr.is_v6())) continue;
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: CIDR {} IP version incompatible with VIP {} IP "
                            "version.",
                            cidr.to_string(), vips_text(owner)));
  }
  return {};
}

void mark_default_pool(Model& model, const std::optional<Uuid>& pool) {
  if (pool) mark_pending(*model.pools.change(*pool));
}

}  // namespace

Result<Uuid> add(Model& model, Listener listener, Timestamp now) {
  const auto owner = find(model.load_balancers, listener.load_balancer_id);
  if (!owner) return tl::unexpected(owner.error());
  begin(listener, (*owner)->project_id, now);
  if (auto ok =
          first_failure({check(listener), check_default_pool(model, listener),
                         check_ports_are_free(model, listener),
                         check_allowed_cidrs(**owner, listener), check_quota(model, listener)});
      !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  mark_load_balancer(model, listener.load_balancer_id);
  mark_default_pool(model, listener.default_pool_id);
  const auto id = listener.id;
  model.listeners.put(std::move(listener));
  return id;
}

Result<void> replace(Model& model, Listener listener, Timestamp now) {
  const auto current = find(model.listeners, listener.id);
  if (!current) return tl::unexpected(current.error());
  const auto& old = **current;
  const auto fixed = [&](std::string_view attribute) {
    return immutable(kind_of(old), old.id, attribute);
  };
  if (listener.load_balancer_id != old.load_balancer_id) return fixed("loadbalancer_id");
  if (listener.protocol != old.protocol) return fixed("protocol");
  if (listener.protocol_port != old.protocol_port) return fixed("protocol_port");
  if (listener.protocol_port_range != old.protocol_port_range) return fixed("protocol_port_range");
  const auto& owner = model.load_balancers.at(old.load_balancer_id);
  if (auto ok = first_failure({check(listener), check_allowed_cidrs(owner, listener),
                               check_default_pool(model, listener)});
      !ok) {
    return ok;
  }

  mark_load_balancer(model, old.load_balancer_id);
  if (listener.default_pool_id != old.default_pool_id) {
    mark_default_pool(model, old.default_pool_id);
    mark_default_pool(model, listener.default_pool_id);
  }
  carry_over(listener, old, now);
  model.listeners.put(std::move(listener));
  return {};
}

Result<void> remove_listener(Model& model, const Uuid& id, Timestamp /*now*/) {
  const auto found = find(model.listeners, id);
  if (!found) return tl::unexpected(found.error());
  mark_load_balancer(model, (*found)->load_balancer_id);
  mark_default_pool(model, (*found)->default_pool_id);
  model.listeners.erase(id);
  return {};
}

}  // namespace sluice::model
