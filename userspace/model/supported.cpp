#include "model/supported.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <type_traits>
#include <utility>
#include <vector>

#include "model/checks.hpp"
#include "model/limits.hpp"
#include "model/names.hpp"
#include "model/vips.hpp"

namespace sluice::model {
namespace {

// "UDP listeners (supported: TCP)"
template <typename Enum>
Result<void> check_word(const std::set<Enum>& supported, Enum value, std::string_view attribute) {
  if (supported.contains(value)) return {};
  std::vector<std::string_view> words;
  for (const auto known : supported) words.push_back(name(known));
  return unsupported_option(fmt::format("{} {} is not supported by this version (supported: {})",
                                        attribute, name(value), fmt::join(words, ", ")));
}

Result<void> check_transport(const Supported& supported, Protocol protocol) {
  if (supported.transports.contains(transport(protocol))) return {};
  return unsupported_option(
      fmt::format("protocol {} is not supported by this version", name(protocol)));
}

Result<void> check_family(const Supported& supported, const IpAddress& address,
                          std::string_view what) {
  if (supported.ipv6 || address.is_v4()) return {};
  return unsupported_option(
      fmt::format("IPv6 {} ({}) are not supported by this version; give an IPv4 address", what,
                  address.to_string()));
}

Result<void> check(const Supported& supported, const Model&, const LoadBalancer& object) {
  for (const auto& address : vips(object)) {
    if (auto ok = check_family(supported, address, "VIPs"); !ok) return ok;
  }
  return {};
}

Result<void> check(const Supported& supported, const Model& model, const FloatingIp& object) {
  if (auto ok = check_family(supported, object.address, "floating IPs"); !ok) return ok;
  if (supported.translation || !object.load_balancer_id) return {};
  const auto& owner = model.load_balancers.at(*object.load_balancer_id);
  if (vip_of_version(owner, object.address.is_v6())) return {};
  return unsupported_option(fmt::format("floating IP {} and VIP {} are of different IP versions",
                                        object.address.to_string(), vips_text(owner)));
}

// Checks that SCTP ports stay the same. SCTP's checksum covers them, so a data plane that doesn't
// compute it can't change them.
Result<void> check_sctp_port(const Supported& supported, const Listener& listener,
                             const Member& member) {
  const bool same = last_port(listener) == listener.protocol_port &&
                    listener.protocol_port == member.protocol_port;
  if (supported.sctp_ports || listener.protocol != Protocol::sctp || member.protocol_port == 0 ||
      same) {
    return {};
  }
  return unsupported_option(fmt::format(
      "SCTP ports cannot be translated: listener {} has port {}, member {} has {}; "
      "give both the same{}",
      to_string(listener.id), ports_text(listener), member.address.to_string(),
      member.protocol_port, listener.protocol_port_range ? ", which is port 0 of the member" : ""));
}

Result<void> check_room_for_range(const Supported& supported, const Model& model,
                                  const Listener& object) {
  if (!object.protocol_port_range) return {};
  std::size_t ranges = 0;
  for (const auto* other : model.listeners.with(Facet::parent, object.load_balancer_id)) {
    ranges +=
        other->protocol_port_range && transport(other->protocol) == transport(object.protocol);
  }
  if (ranges <= supported.room.port_ranges) return {};
  return fail(ErrorKind::forbidden,
              fmt::format("Quota has been met for resources: {}", kind_of(object)),
              fmt::format("the data plane has room for {} ranges of ports for each load balancer "
                          "and protocol",
                          supported.room.port_ranges));
}

Result<void> check(const Supported& supported, const Model& model, const Listener& object) {
  if (auto ok = check_transport(supported, object.protocol); !ok) return ok;
  if (auto ok = check_room_for_range(supported, model, object); !ok) return ok;
  if (object.default_pool_id && object.protocol == Protocol::sctp) {
    for (const auto* member : model.members.with(Facet::parent, *object.default_pool_id)) {
      if (auto ok = check_sctp_port(supported, object, *member); !ok) return ok;
    }
  }
  if (supported.allowed_cidrs || object.allowed_cidrs.empty()) return {};
  return unsupported_option("allowed_cidrs is not supported by this version");
}

// Checks that a member of another IP version than the VIPs can be reached.
Result<void> check_version(const Supported& supported, const Model& model, const Pool& pool,
                           const Member& member) {
  const auto& owner = model.load_balancers.at(pool.load_balancer_id);
  const bool ipv6 = member.address.is_v6();
  if (supported.translation || vip_of_version(owner, ipv6)) return {};
  const auto refused = [&](std::string_view why) {
    return unsupported_option(fmt::format("member {} and VIP {} are of different IP versions{}",
                                          member.address.to_string(), vips_text(owner), why));
  };
  if (!supported.other_version) return refused("");
  if (pool.forwarding_mode != ForwardingMode::fullnat) {
    return refused(fmt::format(", which forwarding_mode {} can't translate; fullnat can",
                               name(pool.forwarding_mode)));
  }
  if (!may_have_other_version(pool)) {
    return refused(
        fmt::format(", which is not possible in pools of protocol {}", name(pool.protocol)));
  }
  if (sources_toward(owner, ipv6).empty()) {
    return refused(fmt::format(
        ": give the load balancer an {} address from which the member is reached (snat_addresses)",
        ipv6 ? "IPv6" : "IPv4"));
  }
  return {};
}

Result<void> check(const Supported& supported, const Model& model, const Pool& object) {
  for (const auto* member : model.members.with(Facet::parent, object.id)) {
    if (auto ok = check_version(supported, model, object, *member); !ok) return ok;
  }
  if (auto ok = check_transport(supported, object.protocol); !ok) return ok;
  if (auto ok = check_word(supported.algorithms, object.lb_algorithm, "lb_algorithm"); !ok) {
    return ok;
  }
  if (auto ok = check_word(supported.forwarding_modes, object.forwarding_mode, "forwarding_mode");
      !ok) {
    return ok;
  }
  if (object.protocol == Protocol::proxyv2) {
    if (auto ok = check_word(supported.proxyv2_modes, object.forwarding_mode,
                             "protocol PROXYV2 with forwarding_mode");
        !ok) {
      return ok;
    }
  }
  if (object.mixed_versions && !may_have_other_version(object)) {
    return unsupported_option(fmt::format(
        "mixed_versions with protocol {} and forwarding_mode {}: give a TCP or UDP pool "
        "forwarding_mode fullnat, or mixed_versions false",
        name(object.protocol), name(object.forwarding_mode)));
  }
  if (supported.session_persistence || !object.session_persistence) return {};
  return unsupported_option("session_persistence is not supported by this version");
}

Result<void> check(const Supported& supported, const Model& model, const Member& object) {
  if (auto ok = check_family(supported, object.address, "members"); !ok) return ok;
  const auto& pool = model.pools.at(object.pool_id);
  if (pool.protocol == Protocol::sctp) {  // as its listeners are
    for (const auto* listener : model.listeners.with(Facet::default_pool, object.pool_id)) {
      if (auto ok = check_sctp_port(supported, *listener, object); !ok) return ok;
    }
  }
  return check_version(supported, model, pool, object);
}

Result<void> check(const Supported& supported, const Model&, const HealthMonitor& object) {
  if (auto ok = check_word(supported.monitor_types, object.type, "type"); !ok) return ok;
  if (object.type != MonitorType::external || supported.checks.contains(object.check)) return {};
  const auto known = supported.checks.empty() ? "This node declares no checks"
                                              : fmt::format("Value should be one of: {}",
                                                            fmt::join(supported.checks, ", "));
  return invalid_attribute("check", object.check, known);
}

// Checks that a load balancer keeps the SNAT addresses from which its members of another IP version
// are reached.
Result<void> check_sources(const Supported& supported, const Model& after, const LoadBalancer& old,
                           const LoadBalancer& now) {
  if (old.snat_addresses == now.snat_addresses) return {};
  for (const auto* pool : after.pools.with(Facet::parent, now.id)) {
    for (const auto* member : after.members.with(Facet::parent, pool->id)) {
      if (auto ok = check_version(supported, after, *pool, *member); !ok) return ok;
    }
  }
  return {};
}

}  // namespace

namespace {

// Floating IPs that lead to a load balancer, and all VIPs and SNAT addresses.
std::size_t addresses(const Model& model) {
  return model.load_balancers.count_all(Facet::address) +
         model.floating_ips.count_all(Facet::parent);
}

// One per listener and address of its load balancer. Most load balancers have one address, so only
// the others are looked at.
std::size_t listener_entries(const Model& model) {
  auto entries = model.listeners.size();
  const auto listeners_of = [&](const Uuid& id) {
    return model.listeners.count(Facet::parent, id);
  };
  model.load_balancers.walk(Facet::several_vips, {}, [&](const LoadBalancer& object) {
    entries += object.additional_vips.size() * listeners_of(object.id);
    return true;
  });
  for (const auto& [id, floating_ip] : model.floating_ips) {
    if (floating_ip.load_balancer_id) entries += listeners_of(*floating_ip.load_balancer_id);
  }
  return entries;
}

template <typename T>
bool any_new(const Table<T>& before, const Table<T>& after) {
  bool any = false;
  Table<T>::for_each_difference(before, after, [&](const Uuid&, const T* old, const T*) {
    any = old == nullptr;
    return !any;
  });
  return any;
}

// Most changes ask for no room.
bool takes_room(const Model& before, const Model& after) {
  return any_new(before.load_balancers, after.load_balancers) ||
         any_new(before.listeners, after.listeners) || any_new(before.pools, after.pools) ||
         any_new(before.members, after.members) || addresses(before) != addresses(after) ||
         before.floating_ips != after.floating_ips;
}

Result<void> check_room(std::size_t room, std::size_t before, std::size_t after,
                        std::string_view kind, std::string_view what) {
  if (after <= room || after <= before) return {};
  return fail(ErrorKind::forbidden, fmt::format("Quota has been met for resources: {}", kind),
              fmt::format("the data plane has room for {} {}", room, what));
}

// Checks that there is room for a new listener among those of its load balancer.
Result<void> check_room_for_listener(const Room& room, const Model& before, const Model& after,
                                     const Listener& object) {
  if (!room.listeners_of) return {};
  const auto of = [&](const Model& model) {
    return model.listeners.count(Facet::parent, object.load_balancer_id);
  };
  return check_room(room.listeners_of(object.load_balancer_id), of(before), of(after),
                    kind_of(object), "listeners of this load balancer");
}

// Checks that the numbers of objects stay within the room.
Result<void> check_room(const Room& room, const Model& before, const Model& after) {
  if (!takes_room(before, after)) return {};
  return first_failure(
      {check_room(room.vips, addresses(before), addresses(after), kind_of(LoadBalancer{}),
                  "VIPs, floating IPs and SNAT addresses"),
       check_room(room.listeners, before.listeners.size(), after.listeners.size(),
                  kind_of(Listener{}), "listeners"),
       check_room(room.listener_entries, listener_entries(before), listener_entries(after),
                  kind_of(Listener{}),
                  "listeners, counted once per address of their load balancer"),
       check_room(room.pools, before.pools.size(), after.pools.size(), kind_of(Pool{}), "pools"),
       check_room(room.members, before.members.size(), after.members.size(), kind_of(Member{}),
                  "members")});
}

// Checks one object; `old`: null if it is new.
template <typename T>
Result<void> check_change(const Supported& supported, const Model& before, const Model& after,
                          const T* old, const T& now) {
  if (auto ok = check(supported, after, now); !ok) return ok;
  if constexpr (std::is_same_v<T, LoadBalancer>) {
    if (old) return check_sources(supported, after, *old, now);
  }
  // Listeners that are there already stay, however many they are.
  if constexpr (std::is_same_v<T, Listener>) {
    if (!old) return check_room_for_listener(supported.room, before, after, now);
  }
  return {};
}

}  // namespace

Room taken(const Model& model) {
  return {.vips = addresses(model),
          .listeners = model.listeners.size(),
          .listener_entries = listener_entries(model),
          .pools = model.pools.size(),
          .members = model.members.size()};
}

Supported Supported::everything() {
  Supported all;
  all.sctp_ports = true;
  all.translation = true;
  all.proxyv2_modes = all.forwarding_modes;
  return all;
}

SupportCheck::SupportCheck(Supported supported, const Model& before, const Model& after)
    : supported_(std::move(supported)),
      before_(before),
      after_(after),
      differences_(before, after) {}

Result<bool> SupportCheck::step(std::size_t most) {
  if (!std::exchange(is_room_checked_, true)) {
    if (auto room = check_room(supported_.room, before_, after_); !room)
      return tl::unexpected(std::move(room.error()));
  }
  Result<void> outcome;
  const auto check_one = [&]<typename T>(const Kind<T>&, const Uuid&, const T* old, const T* now) {
    if (outcome && now) outcome = check_change(supported_, before_, after_, old, *now);
  };
  const bool done = differences_.step(most, check_one);
  return outcome.map([&] { return done; });
}

Result<void> check_supported(const Supported& supported, const Model& before, const Model& after) {
  SupportCheck check(supported, before, after);
  while (true) {
    const auto done = check.step(64);
    if (!done) return tl::unexpected(done.error());
    if (*done) return {};
  }
}

tl::unexpected<Error> unsupported_option(std::string_view what) {
  return fail(ErrorKind::unsupported,
              fmt::format("Provider 'sluice' does not support a requested option: {}", what));
}

}  // namespace sluice::model
