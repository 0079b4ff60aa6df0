#include "control/reconciler.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>
#include <utility>

#include "balancing/maglev.hpp"
#include "balancing/ring.hpp"
#include "model/limits.hpp"
#include "model/status.hpp"
#include "model/vips.hpp"

namespace sluice::control {
namespace {

using Members = std::vector<const model::Member*>;

// Removes suspected members, unless no other would be left. A suspicion calls no backup, because it
// is over in a moment.
std::vector<balancing::Share> without_suspects(std::vector<balancing::Share> shares,
                                               const Suspects& suspects) {
  if (suspects.empty()) return shares;
  auto rest = shares;
  std::erase_if(rest, [&](const auto& share) { return suspects.contains(share.member); });
  return rest.empty() ? shares : rest;
}

std::uint32_t percent_of(const Reduced& reduced, const Uuid& member) {
  const auto found = reduced.find(member);
  return found == reduced.end() ? whole_weight : found->second;
}

// Returns the members that take new connections with their shares. Backups serve only if every
// other member is down, disabled or drained (weight 0, be it by its check).
std::vector<balancing::Share> shares(const std::vector<const model::Member*>& members,
                                     const Knowledge& known) {
  for (const bool backup : {false, true}) {
    std::vector<balancing::Share> result;
    for (const auto* member : members) {
      if (member->backup == backup && member->weight > 0 && usable(known.health, *member) &&
          percent_of(known.reduced, member->id) > 0) {
        result.push_back({member->id, member->weight});
      }
    }
    if (!result.empty()) return without_suspects(std::move(result), known.suspects);
  }
  return {};
}

// The data plane uses a Maglev table for both algorithms.
model::Algorithm algorithm_of(const model::Pool& pool) {
  return pool.lb_algorithm == model::Algorithm::maglev ? model::Algorithm::source_ip_port
                                                       : pool.lb_algorithm;
}

// Gives members that are starting their part of their weight. Where nobody is, or all have the same
// part, rings are as ever.
std::vector<balancing::Share> as_started(std::vector<balancing::Share> shares,
                                         const Starting& starting) {
  const auto part = [&](const Uuid& member) {
    const auto found = starting.find(member);
    return found == starting.end() ? full_share : found->second;
  };
  if (shares.empty()) return shares;
  const auto first = part(shares.front().member);
  if (std::ranges::all_of(shares, [&](const auto& one) { return part(one.member) == first; })) {
    return shares;
  }
  for (auto& share : shares) share.weight *= part(share.member);
  return shares;
}

// Weights are compared in 64 bits by the data plane, and stand in 16 bits of a slot.
constexpr std::uint32_t largest_weight = 4096;  // 256 in sixteenths, as a slow start has it

// Gives members whose checks ask for less their part of their weight. Where nobody's does, or all
// have the same part, rings are as ever.
std::vector<balancing::Share> as_checked(std::vector<balancing::Share> shares,
                                         const Reduced& reduced) {
  if (shares.empty() || reduced.empty()) return shares;
  const auto first = percent_of(reduced, shares.front().member);
  if (std::ranges::all_of(
          shares, [&](const auto& one) { return percent_of(reduced, one.member) == first; })) {
    return shares;
  }
  std::uint32_t divisor = 0;
  for (auto& share : shares) {
    share.weight *= percent_of(reduced, share.member);
    divisor = std::gcd(divisor, share.weight);
  }
  for (auto& share : shares) share.weight /= divisor;
  return shares;
}

// Scales weights down, so that the largest has its place; none becomes 0.
std::vector<balancing::Share> fitted(std::vector<balancing::Share> shares) {
  std::uint64_t largest = largest_weight;
  for (const auto& share : shares) largest = std::max<std::uint64_t>(largest, share.weight);
  if (largest == largest_weight) return shares;
  for (auto& share : shares) {
    const auto scaled = std::uint64_t{share.weight} * largest_weight / largest;
    share.weight = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(scaled));
  }
  return shares;
}

// Fills the ring of a pool that has `members` members of the ring's IP version, usable or not.
void fill_ring(PoolEntry& entry, const std::vector<balancing::Share>& shares, std::size_t members) {
  switch (entry.algorithm) {
    case model::Algorithm::round_robin:
      entry.ring = balancing::smooth_ring(shares);
      return;
    case model::Algorithm::least_connections:
      for (const auto& share : shares) {
        entry.ring.push_back(share.member);
        entry.weights.push_back(static_cast<std::uint16_t>(share.weight));
      }
      return;
    default:
      entry.ring = balancing::maglev_table(shares, members);
  }
}

// Hash tables stay as they are while a member starts: each new one would send other clients to
// other members, and nodes that share a VIP would not choose alike.
bool starts_slowly(model::Algorithm algorithm) {
  return algorithm == model::Algorithm::round_robin ||
         algorithm == model::Algorithm::least_connections;
}

// Counts the leading bits of a mask: 24 in 255.255.255.0. Masks with holes were refused when they
// were set.
std::uint8_t bits_of(const IpAddress& mask) {
  const auto count = [](const auto& bytes) {
    unsigned bits = 0;
    for (const auto byte : bytes) bits += static_cast<unsigned>(std::popcount(byte));
    return static_cast<std::uint8_t>(bits);
  };
  return mask.is_v4() ? count(mask.to_v4().to_bytes()) : count(mask.to_v6().to_bytes());
}

void set_persistence(PoolEntry& entry, const model::Pool& pool, bool ipv6) {
  if (!pool.session_persistence) return;
  constexpr std::uint32_t default_seconds = 360;
  entry.persistence_seconds = pool.persistence_timeout_seconds.value_or(default_seconds);
  entry.persistence_bits = ipv6 ? 128 : 32;
  if (pool.persistence_granularity) entry.persistence_bits = bits_of(*pool.persistence_granularity);
}

bool is_down(const model::HealthTable& health, const Uuid& member) {
  const auto known = health.find(member);
  return known != health.end() && known->second == model::Health::down;
}

Members of_version(Members members, bool ipv6) {
  std::erase_if(members, [&](const auto* member) { return member->address.is_v6() != ipv6; });
  return members;
}

struct Address {
  IpAddress address;
  bool up = true;
};

// Returns the addresses that reach the load balancer: its VIPs and its floating IPs.
std::vector<Address> addresses(const model::Model& model, const model::LoadBalancer& owner) {
  std::vector<Address> result;
  for (const auto& address : model::vips(owner)) result.push_back({address, owner.admin_state_up});
  for (const auto* floating_ip : model.floating_ips.with(model::Facet::parent, owner.id)) {
    result.push_back({floating_ip->address, owner.admin_state_up && floating_ip->admin_state_up});
  }
  return result;
}

// Says whether members of this IP version can serve clients of the other one, if there are any:
// there are such members, and a source address toward them.
bool could_serve_other_version(const model::Model& model, const model::Pool& pool, bool ipv6) {
  const auto& owner = model.load_balancers.at(pool.load_balancer_id);
  return model::may_have_other_version(pool) && !model::sources_toward(owner, ipv6).empty() &&
         std::ranges::any_of(model.members.with(model::Facet::parent, pool.id),
                             [&](const auto* member) { return member->address.is_v6() == ipv6; });
}

// Says whether members of this IP version can serve the pool's clients of the other one.
bool serves_other_version(const model::Model& model, const model::Pool& pool, bool ipv6) {
  return model::vip_of_version(model.load_balancers.at(pool.load_balancer_id), !ipv6) &&
         could_serve_other_version(model, pool, ipv6);
}

// Says whether the pool's members of both IP versions serve its clients side by side. Clients of
// either version then use the pool's entry of IPv6. Where a load balancer has several IPv6
// addresses, IPv4 members can be reached from the first one only (maps/snat.h), so a ring with them
// would lose connections to the others.
bool serves_side_by_side(const model::Model& model, const model::Pool& pool) {
  const auto& owner = model.load_balancers.at(pool.load_balancer_id);
  return pool.mixed_versions && could_serve_other_version(model, pool, false) &&
         could_serve_other_version(model, pool, true) &&
         std::ranges::count_if(addresses(model, owner),
                               [](const Address& one) { return one.address.is_v6(); }) <= 1;
}

// Says whether connections of some pool of the load balancer have two IP versions.
bool is_mixed(const model::Model& model, const model::LoadBalancer& owner) {
  return std::ranges::any_of(model.pools.with(model::Facet::parent, owner.id),
                             [&](const auto* pool) {
                               return serves_other_version(model, *pool, false) ||
                                      serves_other_version(model, *pool, true);
                             });
}

// The pool's entry for connections of one IP version, which these members serve.
PoolEntry pool_entry(const model::Pool& pool, bool ipv6, const Members& own,
                     const Knowledge& known) {
  PoolEntry entry;
  entry.forwarding_mode = pool.forwarding_mode;
  entry.algorithm = algorithm_of(pool);
  set_persistence(entry, pool, ipv6);
  auto taking = as_checked(shares(own, known), known.reduced);
  if (starts_slowly(entry.algorithm)) taking = as_started(std::move(taking), known.starting);
  fill_ring(entry, fitted(std::move(taking)), own.size());
  return entry;
}

// Marks the failed ones of these members, if another one can take over. If all are down the monitor
// may be wrong, and connections that might live are better than none.
void give_up_failed(DataPlaneState& state, const model::Pool& pool, const Members& members) {
  if (pool.on_member_down != model::MemberDownMode::reset) return;
  for (const auto* member : members) {
    auto& wanted = state.members[member->id];
    wanted.given_up |= wanted.failed;
  }
}

void add_pool(DataPlaneState& state, const model::Model& model, const model::Pool& pool,
              const Knowledge& known) {
  const auto members = model.members.with(model::Facet::parent, pool.id);
  for (const auto* member : members) {
    auto& wanted = state.members[member->id];
    wanted = {member->address, member->protocol_port, false, is_down(known.health, member->id),
              pool.forwarding_mode};
    wanted.keeps = pool.on_member_down != model::MemberDownMode::reset;
    wanted.max_connections = member->max_connections.value_or(0);
    wanted.proxied = pool.protocol == model::Protocol::proxyv2;
    wanted.given_up = known.overdue.contains(member->id);
    if (member->drain_until) {
      wanted.drained_until = std::chrono::ceil<std::chrono::seconds>(*member->drain_until);
    }
    wanted.drain_seconds = pool.drain_timeout_seconds;
    wanted.load_balancer = pool.load_balancer_id;
  }
  if (!pool.admin_state_up) return;
  const auto& owner = model.load_balancers.at(pool.load_balancer_id);
  const bool side_by_side = serves_side_by_side(model, pool);
  for (const bool ipv6 : {false, true}) {
    const bool has_both = ipv6 && side_by_side;
    if (!has_both && !model::vip_of_version(owner, ipv6) &&
        !serves_other_version(model, pool, ipv6)) {
      continue;
    }
    const auto own = has_both ? members : of_version(members, ipv6);
    auto& entry = state.pools[{pool.id, ipv6}] = pool_entry(pool, ipv6, own, known);
    for (const auto& id : entry.ring) state.members[id].usable = true;
    if (!entry.ring.empty()) give_up_failed(state, pool, own);
  }
}

// Sorts and removes repetitions, as the data plane reads them back.
std::vector<IpNetwork> canonical(std::vector<IpNetwork> networks) {
  const auto key = [](const IpNetwork& network) {
    return std::tie(network.address, network.prefix_length);
  };
  std::sort(networks.begin(), networks.end(),
            [&](const auto& a, const auto& b) { return key(a) < key(b); });
  networks.erase(std::unique(networks.begin(), networks.end()), networks.end());
  return networks;
}

// Returns a VIP itself, or the VIP behind a floating IP, which members can reach without a gateway.
IpAddress snat_source(const model::LoadBalancer& load_balancer, const IpAddress& address) {
  if (model::has_vip(load_balancer, address)) return address;
  return model::vip_of_version(load_balancer, address.is_v6()).value_or(address);
}

// Seconds that the listener's connections may be silent; 0: the data plane's default. For TCP, the
// larger one of the data timeouts that were set counts.
std::uint32_t idle_seconds(const model::Listener& listener) {
  if (listener.idle_timeout_seconds) return *listener.idle_timeout_seconds;
  if (!listener.data_timeouts_count || transport(listener.protocol) != model::Protocol::tcp) {
    return 0;
  }
  std::uint32_t longest_ms = 0;
  for (const auto ms : {listener.timeout_client_data_ms, listener.timeout_member_data_ms}) {
    if (ms != model::default_data_timeout_ms) longest_ms = std::max(longest_ms, ms);
  }
  const auto seconds = longest_ms / 1000 + (longest_ms % 1000 != 0 ? 1 : 0);
  return std::min(seconds, static_cast<std::uint32_t>(model::idle_timeout_range.highest));
}

// The time in which a member has to answer, in tenths of a second; 0: as long as the client tries.
std::uint32_t connect_tenths(const model::Listener& listener) {
  const auto ms = listener.timeout_member_connect_ms;
  if (ms == 0 || !model::connect_timeout_counts(listener)) return 0;
  if (transport(listener.protocol) == model::Protocol::udp) return 0;
  return std::min<std::uint32_t>(ms / 100 + (ms % 100 != 0 ? 1 : 0), model::longest_connect_tenths);
}

// The load balancer's SNAT addresses are answered for like VIPs.
void add_snat_addresses(DataPlaneState& state, const model::LoadBalancer& owner, bool resets,
                        bool standby, bool mixed) {
  for (const auto& address : owner.snat_addresses) {
    auto& entry = state.vips[address];
    entry = {owner.id, owner.admin_state_up, resets, standby, true};
    entry.mixed = mixed && address.is_v4();
  }
}

// Says whether the address is a load balancer's. Then it is none of a node's, as far as the data
// plane is concerned.
bool is_of_load_balancer(const model::Model& model, const IpAddress& address) {
  const auto asked = model::subject(address);
  bool found = false;
  model.load_balancers.walk(model::Facet::address, asked, [&](const model::LoadBalancer& owner) {
    return !(found = model::has_address(owner, address));
  });
  if (found) return true;
  model.floating_ips.walk(model::Facet::address, asked, [&](const model::FloatingIp& owner) {
    return !(found = owner.address == address && owner.load_balancer_id.has_value());
  });
  return found;
}

// Nodes' SNAT addresses are answered for like VIPs, by one node each. All load balancers share
// them, and those of some may have members of the other IP version.
void add_node_addresses(DataPlaneState& state, const model::Model& model, const NodeSnat& nodes) {
  for (const auto& [address, of_node] : nodes.addresses) {
    if (is_of_load_balancer(model, address)) continue;
    state.vips[address] = {
        .standby = !answers(of_node.role), .snat = true, .mixed = address.is_v4()};
  }
}

// The sources of connections to this address: the load balancer's own, else the node's.
std::vector<IpAddress> sources_of(const model::LoadBalancer& owner, bool ipv6,
                                  const NodeSnat& nodes) {
  auto sources = model::snat_of_version(owner, ipv6);
  if (!sources.empty()) return sources;
  std::ranges::copy_if(nodes.own, std::back_inserter(sources),
                       [ipv6](const auto& address) { return address.is_v6() == ipv6; });
  return sources;
}

void add_addresses(DataPlaneState& state, const model::Model& model,
                   const model::LoadBalancer& owner, bool standby) {
  const bool resets = owner.on_unmatched == model::RefusalMode::reset;
  const bool mixed = is_mixed(model, owner);
  for (const auto& [address, up] : addresses(model, owner)) {
    auto& entry = state.vips[address];
    entry = {owner.id, up, resets, standby};
    if (!mixed || address.is_v6()) continue;
    state.vips[mapped(address)] = entry;
    entry.mixed = true;
  }
  add_snat_addresses(state, owner, resets, standby, mixed);
}

// Tells whether the pool has an entry for connections to this address.
bool has_entry(const model::Model& model, const Uuid& pool, const IpAddress& address) {
  const auto* found = model.pools.lookup(pool);
  return found && found->admin_state_up &&
         model::vip_of_version(model.load_balancers.at(found->load_balancer_id), address.is_v6());
}

ListenerKey key_at(const IpAddress& address, const model::Listener& listener) {
  return {address, listener.protocol_port, transport(listener.protocol)};
}

// The sources toward members of this IP version, where clients have the other one.
std::vector<IpAddress> sources_toward(const model::LoadBalancer& owner, bool ipv6,
                                      const NodeSnat& nodes) {
  auto sources = sources_of(owner, ipv6, nodes);
  return sources.empty() ? model::sources_toward(owner, ipv6) : sources;
}

// Says whether members of the other IP version serve clients of this one: no member of their own
// can.
bool needs_other_version(const model::Model& model, const model::Pool& pool, bool ipv6,
                         const Knowledge& known) {
  if (!serves_other_version(model, pool, !ipv6)) return false;
  const auto members = model.members.with(model::Facet::parent, pool.id);
  return shares(of_version(members, ipv6), known).empty() &&
         !shares(of_version(members, !ipv6), known).empty();
}

// Sets where the connections of a listener's entry go if members of both IP versions serve them.
void set_both_versions(DataPlaneState& state, const model::LoadBalancer& owner,
                       const ListenerKey& key, ListenerEntry& entry, const NodeSnat& nodes) {
  auto both = entry;
  both.both_versions = true;
  both.snat_addresses4 = sources_toward(owner, false, nodes);
  // The entries of a listener share the sources of each version, and an IPv4 client needs some.
  if (model::vip_of_version(owner, false)) both.snat_addresses = sources_toward(owner, true, nodes);
  if (key.address.is_v6()) {
    entry = std::move(both);
    return;
  }
  entry.other_version = true;
  both.mixed = false;
  both.snat_source = IpAddress();
  state.listeners[{mapped(key.address), key.port, key.protocol}] = std::move(both);
}

// Sets where the connections of a listener's entry go if members of the other IP version serve
// them.
void set_other_version(DataPlaneState& state, const model::Model& model, const ListenerKey& key,
                       ListenerEntry& entry, const Knowledge& known) {
  const auto* pool = model.pools.lookup(entry.pool);
  if (pool == nullptr) return;
  const auto& owner = model.load_balancers.at(pool->load_balancer_id);
  if (serves_side_by_side(model, *pool)) {
    return set_both_versions(state, owner, key, entry, known.node_snat);
  }
  const bool ipv6 = key.address.is_v6();
  entry.other_version = needs_other_version(model, *pool, ipv6, known);
  if (ipv6) {
    if (!entry.other_version) return;
    entry.snat_addresses = sources_toward(owner, false, known.node_snat);
    entry.snat_source = *model::vip_of_version(owner, true);
    return;
  }
  if (!serves_other_version(model, *pool, true)) return;
  auto to_ipv6 = entry;
  to_ipv6.other_version = false;
  to_ipv6.mixed = false;
  to_ipv6.snat_addresses = sources_toward(owner, true, known.node_snat);
  to_ipv6.snat_source = IpAddress();
  state.listeners[{mapped(key.address), key.port, key.protocol}] = std::move(to_ipv6);
}

void add_listener(DataPlaneState& state, const model::Model& model, const model::Listener& listener,
                  const Knowledge& known) {
  if (!listener.admin_state_up) return;
  const auto& owner = model.load_balancers.at(listener.load_balancer_id);
  const bool mixed = is_mixed(model, owner);
  for (const auto& [address, up] : addresses(model, owner)) {
    if (!up) continue;
    auto& entry = state.listeners[key_at(address, listener)];
    entry.listener = listener.id;
    entry.load_balancer = owner.id;
    entry.snat_addresses = sources_of(owner, address.is_v6(), known.node_snat);
    entry.snat_source = address.is_v4() ? snat_source(owner, address)
                                        : model::vip_of_version(owner, true).value_or(address);
    entry.allowed_cidrs = canonical(listener.allowed_cidrs);
    entry.connection_limit = listener.connection_limit;
    entry.new_connection_limit = listener.new_connection_limit;
    entry.resets = listener.on_no_member == model::RefusalMode::reset;
    entry.syn_authentication = transport(listener.protocol) == model::Protocol::tcp
                                   ? listener.syn_authentication
                                   : model::SynAuthentication::off;
    entry.idle_seconds = idle_seconds(listener);
    entry.idle_resets = listener.on_idle == model::IdleEnd::reset;
    entry.connect_tenths = connect_tenths(listener);
    entry.recorded = listener.records;
    entry.per_packet = listener.udp_scheduling == model::UdpScheduling::packet;
    if (model::last_port(listener) != listener.protocol_port) {
      entry.last_port = model::last_port(listener);
    }
    const auto pool = listener.default_pool_id.value_or(Uuid{});
    if (has_entry(model, pool, address)) entry.pool = pool;
    // A node's IPv4 source is also that of load balancers with clients of both versions.
    const bool has_own = !model::snat_of_version(owner, false).empty();
    entry.mixed = mixed || (address.is_v4() && !has_own && !entry.snat_addresses.empty());
    if (mixed) set_other_version(state, model, key_at(address, listener), entry, known);
  }
}

// Calls `visit` with each of these objects that exists.
template <typename T, typename Visit>
void for_each(const model::Table<T>& table, const std::set<Uuid>& ids, Visit visit) {
  for (const auto& id : ids) {
    if (const T* object = table.lookup(id)) visit(*object);
  }
}

// Calls `put` for entries that are new or different, `remove` for entries that are no longer
// wanted.
template <typename Map, typename Put, typename Remove>
void compare(const Map& desired, const Map& actual, Put put, Remove remove) {
  auto is = actual.begin();
  for (const auto& [key, entry] : desired) {
    while (is != actual.end() && is->first < key) remove((is++)->first);
    const bool exists = is != actual.end() && is->first == key;
    if (!exists || is->second != entry) put(key, entry);
    if (exists) ++is;
  }
  while (is != actual.end()) remove((is++)->first);
}

using Operations = std::vector<Operation>;

void append(Operations& operations, Operations&& more) {
  operations.insert(operations.end(), std::make_move_iterator(more.begin()),
                    std::make_move_iterator(more.end()));
}

}  // namespace

bool may_serve_other_version(const model::Model& model, const model::Pool& pool) {
  return serves_other_version(model, pool, false) || serves_other_version(model, pool, true);
}

DataPlaneState desired_state(const model::Model& model, const model::HealthTable& health,
                             const Suspects& suspects, const Overdue& overdue, bool standby,
                             const Starting& starting, const Reduced& reduced,
                             const NodeSnat& node_snat) {
  DataPlaneState state;
  const Knowledge known{health, suspects, overdue, starting, standby, reduced, node_snat};
  for (const auto& [id, pool] : model.pools) add_pool(state, model, pool, known);
  for (const auto& [id, owner] : model.load_balancers) add_addresses(state, model, owner, standby);
  add_node_addresses(state, model, node_snat);
  for (const auto& [id, listener] : model.listeners) add_listener(state, model, listener, known);
  return state;
}

DataPlaneState desired_state(const model::Model& model, const Knowledge& known,
                             const Sources& sources) {
  DataPlaneState state;
  for_each(model.pools, sources.pools,
           [&](const auto& pool) { add_pool(state, model, pool, known); });
  for_each(model.load_balancers, sources.load_balancers,
           [&](const auto& owner) { add_addresses(state, model, owner, known.standby); });
  add_node_addresses(state, model, known.node_snat);
  for_each(model.listeners, sources.listeners,
           [&](const auto& listener) { add_listener(state, model, listener, known); });
  return state;
}

EntryKeys keys_of(const model::Model& model, const Sources& sources) {
  EntryKeys keys;
  for_each(model.load_balancers, sources.load_balancers, [&](const auto& owner) {
    for (const auto& [address, up] : addresses(model, owner)) {
      keys.vips.insert(address);
      if (address.is_v4()) keys.vips.insert(mapped(address));
    }
    keys.vips.insert(owner.snat_addresses.begin(), owner.snat_addresses.end());
  });
  for_each(model.listeners, sources.listeners, [&](const model::Listener& listener) {
    const auto& owner = model.load_balancers.at(listener.load_balancer_id);
    for (const auto& [address, up] : addresses(model, owner)) {
      keys.listeners.insert(key_at(address, listener));
      if (address.is_v4()) keys.listeners.insert(key_at(mapped(address), listener));
    }
  });
  for_each(model.pools, sources.pools, [&](const model::Pool& pool) {
    for (const bool ipv6 : {false, true}) keys.pools.insert({pool.id, ipv6});
    for (const auto* member : model.members.with(model::Facet::parent, pool.id)) {
      keys.members.insert(member->id);
    }
  });
  return keys;
}

namespace {

// Says whether connections may still have this SNAT address, which its load balancer or its node
// lacks now. Without the load balancer it goes at once, as the VIPs do.
bool may_be_in_use(const VipEntry& entry, const DataPlaneState& desired) {
  if (entry.snat && entry.load_balancer.is_nil()) return true;
  return entry.snat && std::ranges::any_of(desired.vips, [&](const auto& vip) {
           return !vip.second.snat && vip.second.load_balancer == entry.load_balancer;
         });
}

}  // namespace

std::vector<Operation> for_leaving(const DataPlaneState& actual, bool standby) {
  std::vector<Operation> operations;
  for (const auto& [address, entry] : actual.vips) {
    if (!entry.leaving || entry.load_balancer.is_nil() || entry.standby == standby) continue;
    auto now = entry;
    now.standby = standby;
    operations.push_back(PutVip{address, now});
  }
  return operations;
}

std::vector<Operation> diff(const DataPlaneState& desired, const DataPlaneState& actual) {
  Difference difference;
  difference.add(desired, actual);
  return difference.take();
}

void Difference::add(const DataPlaneState& desired, const DataPlaneState& actual) {
  compare(
      desired.vips, actual.vips,
      [&](const IpAddress& address, const VipEntry& entry) {
        // A SNAT address is answered for before a connection gets it, and for as long as one may.
        auto& part = entry.snat ? snat_in_ : entry.up ? vips_up_ : vips_away_;
        part.push_back(PutVip{address, entry});
      },
      [&](const IpAddress& address) {
        auto entry = actual.vips.at(address);
        auto& part = entry.snat ? snat_out_ : vips_away_;
        if (!may_be_in_use(entry, desired)) return part.push_back(RemoveVip{address});
        if (!std::exchange(entry.leaving, true)) part.push_back(PutVip{address, entry});
      });
  compare(
      desired.listeners, actual.listeners,
      [&](const ListenerKey& key, const ListenerEntry& entry) {
        listeners_in_.push_back(PutListener{key, entry});
      },
      [&](const ListenerKey& key) { listeners_out_.push_back(RemoveListener{key}); });
  compare(
      desired.pools, actual.pools,
      [&](const PoolKey& key, const PoolEntry& entry) {
        pools_in_.push_back(PutPool{key, entry});
      },
      [&](const PoolKey& key) { pools_out_.push_back(RemovePool{key}); });
  compare(
      desired.members, actual.members,
      [&](const Uuid& id, const MemberEntry& entry) {
        // A member that leaves its ring is changed after it has left.
        const auto before = actual.members.find(id);
        const bool leaves =
            before != actual.members.end() && before->second.usable && !entry.usable;
        (leaves ? members_out_ : members_in_).push_back(PutMember{id, entry});
      },
      [&](const Uuid& id) { members_out_.push_back(RemoveMember{id}); });
}

std::vector<Operation> Difference::take() {
  auto operations = std::exchange(vips_away_, {});
  for (auto* part : {&snat_in_, &members_in_, &pools_in_, &listeners_in_, &vips_up_,
                     &listeners_out_, &pools_out_, &members_out_, &snat_out_}) {
    append(operations, std::exchange(*part, {}));
  }
  return operations;
}

}  // namespace sluice::control
