#include "model/edit_steps.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "model/edit.hpp"
#include "model/limits.hpp"
#include "model/names.hpp"
#include "model/vips.hpp"

namespace sluice::model {
namespace {

bool is_pending(const Object& object) {
  switch (object.provisioning_status) {
    case ProvisioningStatus::pending_create:
    case ProvisioningStatus::pending_update:
    case ProvisioningStatus::pending_delete:
      return true;
    case ProvisioningStatus::active:
    case ProvisioningStatus::error:
      return false;
  }
  return false;
}

// Says whether the two states of one kind of object differ below this load balancer.
template <typename T, typename OwnerOf>
bool differs_below(const Table<T>& before, const Table<T>& after, const Uuid& load_balancer,
                   OwnerOf owner_of) {
  bool differs = false;
  Table<T>::for_each_difference(before, after, [&](const Uuid&, const T* old, const T* now) {
    differs = (old && owner_of(*old) == load_balancer) || (now && owner_of(*now) == load_balancer);
    return !differs;
  });
  return differs;
}

bool children_differ(const Model& before, const Model& after, const Uuid& load_balancer) {
  const auto direct = [](const auto& object) { return object.load_balancer_id; };
  const auto attached = [](const FloatingIp& object) {
    return object.load_balancer_id.value_or(Uuid{});
  };
  const auto through_pool = [&](const auto& object) {
    for (const auto* model : {&before, &after}) {
      const auto pool = model->pools.find(object.pool_id);
      if (pool != model->pools.end()) return pool->second.load_balancer_id;
    }
    return Uuid{};
  };
  return differs_below(before.listeners, after.listeners, load_balancer, direct) ||
         differs_below(before.pools, after.pools, load_balancer, direct) ||
         differs_below(before.floating_ips, after.floating_ips, load_balancer, attached) ||
         differs_below(before.members, after.members, load_balancer, through_pool) ||
         differs_below(before.health_monitors, after.health_monitors, load_balancer, through_pool);
}

}  // namespace

tl::unexpected<Error> not_found(std::string_view kind, const Uuid& id) {
  return fail(ErrorKind::not_found, fmt::format("{} {} not found.", kind, to_string(id)));
}

tl::unexpected<Error> immutable(std::string_view kind, const Uuid& id, std::string_view attribute) {
  return fail(ErrorKind::invalid, fmt::format("{} {}: {} cannot be changed after creation", kind,
                                              to_string(id), attribute));
}

void begin(Object& object, std::string_view parent_project, Timestamp now) {
  object.id = new_uuid();
  if (object.project_id.empty()) object.project_id = parent_project;
  object.provisioning_status = ProvisioningStatus::pending_create;
  object.provisioning_error.clear();
  object.created_at = now;
  object.updated_at.reset();
}

void carry_over(Object& next, const Object& current, Timestamp now) {
  next.project_id = current.project_id;
  next.created_at = current.created_at;
  next.provisioning_status = current.provisioning_status;
  mark_pending(next);
  next.updated_at = now;
}

void mark_pending(Object& object) {
  if (object.provisioning_status != ProvisioningStatus::pending_create) {
    object.provisioning_status = ProvisioningStatus::pending_update;
  }
  object.provisioning_error.clear();
}

void mark_load_balancer(Model& model, Uuid load_balancer) {
  mark_pending(*model.load_balancers.change(load_balancer));
}

void mark_pool(Model& model, Uuid pool) {
  mark_pending(*model.pools.change(pool));
  mark_load_balancer(model, model.pools.at(pool).load_balancer_id);
  for (const auto& id : ids(model.listeners.with(Facet::default_pool, pool))) {
    mark_pending(*model.listeners.change(id));
  }
}

Result<void> check_address_is_free(const Model& model, const IpAddress& address, const Uuid& self) {
  const auto taken = [&](std::string_view by, const Uuid& id) {
    return fail(ErrorKind::conflict, fmt::format("IP address {} is already in use by {} {}",
                                                 address.to_string(), by, to_string(id)));
  };
  const auto subject = model::subject(address);
  for (const auto* other : model.load_balancers.with(Facet::address, subject)) {
    if (other->id != self && has_address(*other, address)) return taken(kind_of(*other), other->id);
  }
  for (const auto* other : model.floating_ips.with(Facet::address, subject)) {
    if (other->id != self && other->address == address) return taken(kind_of(*other), other->id);
  }
  for (const auto* other : model.members.with(Facet::address, subject)) {
    if (other->address == address) return taken(kind_of(*other), other->id);
  }
  return {};
}

Result<void> check_protocols_fit(Protocol listener, Protocol pool) {
  const bool fits = listener == pool ||
                    (listener == Protocol::tcp && transport(pool) == Protocol::tcp) ||
                    (listener == Protocol::https && pool == Protocol::tcp) ||
                    (transport(listener) == Protocol::tcp && pool == Protocol::proxyv2);
  if (fits) return {};
  return fail(
      ErrorKind::invalid,
      fmt::format("Validation failure: The pool protocol '{}' is invalid while the listener "
                  "protocol is '{}'.",
                  name(pool), name(listener)));
}

Result<void> check_idle_end_fits(const Listener& listener, const Pool& pool) {
  if (!answers_directly(pool.forwarding_mode)) return {};
  if (listener.on_idle == IdleEnd::reset) {
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: The on_idle reset of listener {} is not possible "
                            "with forwarding_mode {}: the answers of its members don't pass here.",
                            to_string(listener.id), name(pool.forwarding_mode)));
  }
  if (listener.idle_timeout_seconds.value_or(0) <= longest_direct_idle_timeout) return {};
  return fail(ErrorKind::invalid,
              fmt::format("Validation failure: The idle_timeout {} of listener {} is above {}, the "
                          "longest with forwarding_mode {}: the answers of its members don't pass "
                          "here, and one direction's clock tells no more.",
                          *listener.idle_timeout_seconds, to_string(listener.id),
                          longest_direct_idle_timeout, name(pool.forwarding_mode)));
}

Result<void> check_scheduling_fits(const Listener& listener, const Pool& pool) {
  if (listener.udp_scheduling == UdpScheduling::session ||
      pool.forwarding_mode != ForwardingMode::fullnat) {
    return {};
  }
  return fail(
      ErrorKind::invalid,
      fmt::format("Validation failure: The udp_scheduling packet of listener {} is not "
                  "possible with forwarding_mode {}: the members don't see their clients, and "
                  "without a flow nothing tells to whom their answers go.",
                  to_string(listener.id), name(pool.forwarding_mode)));
}

Result<void> check_probe_vip_fits(const HealthMonitor* monitor, const Pool& pool) {
  if (!monitor || !monitor->probe_vip || answers_directly(pool.forwarding_mode)) return {};
  return fail(
      ErrorKind::invalid,
      fmt::format("Validation failure: probe_vip is not possible with forwarding_mode {}: its "
                  "members get no packets for the VIP.",
                  name(pool.forwarding_mode)));
}

Result<void> check_port_to_probe(const Member& member, const HealthMonitor* monitor) {
  if (member.protocol_port != 0 || member.monitor_port || !monitor ||
      monitor->type == MonitorType::ping) {
    return {};
  }
  return fail(
      ErrorKind::invalid,
      fmt::format("Validation failure: Member {} keeps the client's port (protocol_port 0), "
                  "so the {} health monitor of its pool needs its monitor_port.",
                  member.address.to_string(), name(monitor->type)));
}

void erase_pool(Model& model, Uuid pool, Timestamp now) {
  for (const auto& id : ids(model.listeners.with(Facet::default_pool, pool))) {
    const auto listener = model.listeners.change(id);
    listener->default_pool_id.reset();
    listener->updated_at = now;
    mark_pending(*listener);
  }
  for (const auto& id : ids(model.members.with(Facet::parent, pool))) model.members.erase(id);
  for (const auto& id : ids(model.health_monitors.with(Facet::parent, pool))) {
    model.health_monitors.erase(id);
  }
  model.pools.erase(pool);
}

namespace {

// Says whether `now` is what touch_load_balancer() makes of the load balancer.
bool only_touched(const LoadBalancer& load_balancer, LoadBalancer now) {
  now.provisioning_status = load_balancer.provisioning_status;
  now.provisioning_error = load_balancer.provisioning_error;
  now.updated_at = load_balancer.updated_at;
  return now == load_balancer;
}

}  // namespace

Result<void> refuse_busy(const Model& before, const Model& after) {
  for (const auto* unsettled : before.load_balancers.with(Facet::unsettled)) {
    const auto& load_balancer = *unsettled;
    const auto& id = load_balancer.id;
    const bool stuck = load_balancer.change_failed && !is_pending(load_balancer);
    if (!is_pending(load_balancer) && !stuck) continue;
    const auto* now = after.load_balancers.lookup(id);
    const bool gone = now == nullptr;
    if (stuck &&
        (gone || (only_touched(load_balancer, *now) && !children_differ(before, after, id)))) {
      continue;
    }
    if (gone || now->updated_at != load_balancer.updated_at) {
      return fail(ErrorKind::conflict,
                  fmt::format("Invalid state {} of loadbalancer resource {}",
                              name(load_balancer.provisioning_status), to_string(id)));
    }
    if (*now != load_balancer || children_differ(before, after, id)) {
      return fail(
          ErrorKind::conflict,
          fmt::format("Load Balancer {} is immutable and cannot be updated.", to_string(id)));
    }
  }
  return {};
}

}  // namespace sluice::model
