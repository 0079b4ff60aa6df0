#include "dataplane/data_plane_over_maps.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "dataplane/codec.hpp"
#include "dataplane/record_source.hpp"
#include "kernel/libbpf_log.hpp"

namespace sluice::dataplane {

// ---- indices and counters ----

Result<Counters> DataPlaneOverMaps::counters(const kernel::CounterMap<sluice_counters>& map,
                                             std::optional<std::uint32_t> index) const {
  Counters sum;
  if (!index) return sum;
  const auto cpus = map.per_cpu(*index);
  if (!cpus) return tl::unexpected(cpus.error());
  for (const auto& one : *cpus) add(sum, one);
  return sum;
}

bool DataPlaneOverMaps::may_have_flows(const kernel::CounterMap<sluice_counters>& map,
                                       const kernel::ArrayMap<std::uint32_t>& active,
                                       std::uint32_t index) const {
  const auto sum = counters(map, index);
  if (!sum || sum->active_flows() != 0) return true;
  const auto now = active.lookup(index);
  return !now || now->value_or(0) != 0;
}

Result<std::uint32_t> DataPlaneOverMaps::index_for(IndexTable& table,
                                                   const kernel::CounterMap<sluice_counters>& map,
                                                   const kernel::ArrayMap<std::uint32_t>& active,
                                                   const Zero& zero, const Uuid& object,
                                                   std::string_view full, std::uint32_t bank) {
  if (const auto index = table.find(object)) return *index;
  const auto allocation = table.allocate(
      object, [&](std::uint32_t index) { return !may_have_flows(map, active, index); }, bank);
  if (!allocation) return fail(ErrorKind::conflict, std::string(full));
  if (allocation->fresh) {
    auto zeroed = map.set_to_zero(allocation->index);
    if (zeroed) zeroed = zero(allocation->index);
    if (!zeroed) {
      table.release(object);
      return tl::unexpected(std::move(zeroed.error()));
    }
  }
  return allocation->index;
}

Result<std::uint32_t> DataPlaneOverMaps::pool_index_for(const control::PoolKey& pool) {
  if (const auto index = pool_indices_.find(pool)) return *index;
  const auto allocation = pool_indices_.allocate(pool, [](std::uint32_t) { return true; });
  if (allocation) return allocation->index;
  return fail(ErrorKind::conflict,
              fmt::format("map pools is full: it holds {} entries", room_.pools));
}

Result<void> DataPlaneOverMaps::set_tunnel_sources(const std::vector<IpNetwork>& networks) {
  sluice_tunnel_source sources[SLUICE_TUNNEL_SOURCES]{};
  for (const auto& network : networks) sources[network.is_v6() ? 1 : 0] = to_map(network);
  for (std::uint32_t which = 0; which < SLUICE_TUNNEL_SOURCES; ++which) {
    if (auto put = tunnel_sources_.put(which, sources[which]); !put) return put;
  }
  return {};
}

Result<void> DataPlaneOverMaps::record_one_of(std::uint32_t connections) {
  const auto entries = listener_entries();
  if (!entries) return tl::unexpected(entries.error());
  std::vector<std::uint32_t> one_of(room_.listeners, connections);
  for (const auto& [key, listener] : *entries) {
    if (!from_map(listener).recorded) one_of[listener.index] = 0;
  }
  record_one_of_ = connections;
  return write_one_of(program_, one_of);
}

Result<void> DataPlaneOverMaps::write_recorded(std::uint32_t index, bool recorded) {
  if (listener_records_.fd() < 0) return {};  // a program that is older than records
  return listener_records_.put(index, recorded ? record_one_of_ : 0);
}

// ---- operations ----

Result<void> DataPlaneOverMaps::run(const control::PutVip& put) {
  if (auto added = address_filters_->add(put.address); !added) return added;
  const auto entry = to_map(put.entry);
  if (put.address.is_v4()) return vips4_.put(to_be32(put.address), entry);
  return vips6_.put(to_map(put.address), entry);
}

Result<void> DataPlaneOverMaps::run(const control::RemoveVip& remove) {
  const auto erased = remove.address.is_v4() ? vips4_.erase(to_be32(remove.address))
                                             : vips6_.erase(to_map(remove.address));
  if (!erased) return tl::unexpected(erased.error());
  return address_filters_->note_removal() ? rebuild_address_filters() : Result<void>();
}

Result<void> DataPlaneOverMaps::rebuild_address_filters() {
  const auto vips4 = vips4_.entries();
  if (!vips4) return tl::unexpected(vips4.error());
  const auto vips6 = vips6_.entries();
  if (!vips6) return tl::unexpected(vips6.error());
  const auto members = members_.entries();
  if (!members) return tl::unexpected(members.error());
  std::vector<IpAddress> addresses;
  for (const auto& [address, vip] : *vips4) addresses.push_back(ipv4_from_be32(address));
  for (const auto& [address, vip] : *vips6) addresses.push_back(from_map(address, true));
  for (const auto& [index, member] : *members) {
    if (!from_map(member.id).is_nil()) addresses.push_back(from_map(member).address);
  }
  return address_filters_->set(addresses);
}

Result<void> DataPlaneOverMaps::run(const control::PutMember& put) {
  // No flow is left on the index, so it may get another bank.
  const auto bank = banks_->bank_of(put.entry.load_balancer);
  const auto zero = [&](std::uint32_t index) -> Result<void> {
    listener_banks_->set(index, bank);
    if (auto zeroed = member_active_.put(index, 0); !zeroed) return zeroed;
    if (auto zeroed = member_half_open_.put(index, 0); !zeroed) return zeroed;
    if (auto zeroed = member_confirmed_.put(index, 0); !zeroed) return zeroed;
    if (auto zeroed = member_silences_.put(index, 0); !zeroed) return zeroed;
    return member_handshakes_.put(index, {});
  };
  const auto index =
      index_for(member_indices_, member_counters_, member_active_, zero, put.id,
                fmt::format("map members is full: its {} entries are in use or still have flows",
                            SLUICE_MAX_MEMBERS));
  if (!index) return tl::unexpected(index.error());
  banks_->put_member(*index, put.entry.load_balancer, listener_banks_->of_member(*index));
  if (auto named = member_load_balancers_.put(*index, to_map(put.entry.load_balancer)); !named) {
    return named;
  }
  if (auto added = address_filters_->add(put.entry.address); !added) return added;
  if (auto said = member_drains_.put(*index, drain_of(put.entry)); !said) return said;
  ends_of_removed_.erase(*index);
  return write_member(*index, to_map(put.id, put.entry));
}

Result<void> DataPlaneOverMaps::write_member(std::uint32_t index, const sluice_member& member) {
  return members_.put(index, member).map([&] { note_given_up(index, member); });
}

namespace {

void note(std::set<std::uint32_t>& indices, std::uint32_t index, bool is_one) {
  if (is_one) {
    indices.insert(index);
  } else {
    indices.erase(index);
  }
}

}  // namespace

// Connections whose ends are reset are looked for only while there may be any.
void DataPlaneOverMaps::note_given_up(std::uint32_t index, const sluice_member& member) {
  note(given_up_members_, index, (member.flags & SLUICE_MEMBER_GIVEN_UP) != 0);
  inspection_->note_ends(!given_up_members_.empty() || !resetting_listeners_.empty());
}

void DataPlaneOverMaps::note_idle_resets(std::uint32_t index, std::uint32_t word) {
  note(resetting_listeners_, index, (word & SLUICE_IDLE_RESETS) != 0);
  inspection_->note_ends(!given_up_members_.empty() || !resetting_listeners_.empty());
}

Result<void> DataPlaneOverMaps::run(const control::RemoveMember& remove) {
  const auto index = member_indices_.find(remove.id);
  if (!index) return {};
  const auto member = members_.lookup(*index);
  if (!member) return tl::unexpected(member.error());
  if (*member) {
    if (auto marked = mark_removed(*index, **member); !marked) return marked;
  }
  member_indices_.release(remove.id);
  banks_->remove_member(*index);
  return {};
}

Result<Ring> DataPlaneOverMaps::ring_elements(const control::PutPool& put) const {
  Ring ring;
  ring.reserve(put.entry.ring.size());
  for (const auto& id : put.entry.ring) {
    const auto index = member_indices_.find(id);
    if (!index) {
      return fail(ErrorKind::internal, fmt::format("the ring of pool {} names member {}, which "
                                                   "the data plane does not have",
                                                   to_string(put.key.id), to_string(id)));
    }
    const auto position = ring.size();
    const auto weight =
        position < put.entry.weights.size() ? put.entry.weights[position] : std::uint16_t{0};
    ring.push_back(SLUICE_RING_WEIGHTED(*index, weight));
  }
  return ring;
}

// Prepares only pools that are new, because no packet reaches them yet.
void DataPlaneOverMaps::expect(std::span<const control::Operation> operations) {
  std::vector<std::pair<std::uint32_t, Ring>> rings;
  for (const auto& operation : operations) {
    const auto* put = std::get_if<control::PutPool>(&operation);
    if (!put || pool_indices_.find(put->key)) continue;
    auto ring = ring_elements(*put);
    if (!ring || ring->size() > SLUICE_MAX_RING_SLOTS) continue;
    const auto index = pool_index_for(put->key);
    if (!index) break;
    expected_pools_.insert(put->key);
    rings.emplace_back(*index, std::move(*ring));
  }
  if (rings.size() > 1) (void)rings_.put_first(rings);
}

Result<void> DataPlaneOverMaps::run(const control::PutPool& put) {
  const auto ring = ring_elements(put);
  if (!ring) return tl::unexpected(ring.error());
  const bool known = pool_indices_.find(put.key).has_value() && expected_pools_.erase(put.key) == 0;
  const auto index = pool_index_for(put.key);
  if (!index) return tl::unexpected(index.error());
  auto written = rings_.put(*index, *ring);
  if (written) written = pools_.put(*index, to_map(put.key, put.entry));
  if (!written && !known) pool_indices_.release(put.key);
  return written;
}

Result<void> DataPlaneOverMaps::run(const control::RemovePool& remove) {
  const auto index = pool_indices_.find(remove.key);
  if (!index) return {};
  if (auto cleared = pools_.put(*index, sluice_pool{}); !cleared) return cleared;
  if (auto erased = rings_.erase(*index); !erased) return erased;
  pool_indices_.release(remove.key);
  return {};
}

Uuid DataPlaneOverMaps::note_entry(const control::ListenerKey& key, const Uuid& listener) {
  const auto known = listener_of_entry_.find(key);
  const auto former = known == listener_of_entry_.end() ? Uuid{} : known->second;
  if (former == listener) return former;
  if (listener.is_nil()) {
    listener_of_entry_.erase(known);
  } else {
    listener_of_entry_[key] = listener;
    entries_of_listener_[listener]++;
  }
  if (const auto count = entries_of_listener_.find(former);
      count != entries_of_listener_.end() && --count->second == 0) {
    entries_of_listener_.erase(count);
  }
  return former;
}

Result<void> DataPlaneOverMaps::release_listener_if_unused(const Uuid& listener) {
  if (entries_of_listener_.contains(listener)) return {};
  const auto index = listener_indices_.find(listener);
  if (!index) return {};
  short_listeners_.erase(*index);
  // The index may soon belong to another listener.
  auto cleared = allowed_sources_.remove_others(*index, {});
  for (const bool ipv6 : {false, true}) {
    if (cleared) cleared = snat_sources_.set(*index, ipv6, {});
  }
  listener_indices_.release(listener);
  banks_->remove_listener(*index);
  return cleared;
}

Result<std::uint32_t> DataPlaneOverMaps::listener_index_for(const control::ListenerEntry& entry) {
  const auto zero = [this](std::uint32_t index) -> Result<void> {
    if (auto zeroed = listener_half_open_.put(index, 0); !zeroed) return zeroed;
    if (auto zeroed = listener_confirmed_.put(index, 0); !zeroed) return zeroed;
    if (auto zeroed = snat_vips_.put(index, {}); !zeroed) return zeroed;
    return listener_active_.put(index, 0);
  };
  const auto bank = banks_->bank_of(entry.load_balancer);
  // A process has ended before it wrote the VIP, so the next one did not know whose listener it
  // was.
  if (const auto former = listener_indices_.find(entry.listener);
      former && sluice_bank_of_listener(*former) != bank) {
    listener_indices_.release(entry.listener);
    banks_->remove_listener(*former);
  }
  const auto full = fmt::format(
      "map listener_counters is full: the {} entries for load balancer {} and others are in use or "
      "still have flows",
      SLUICE_BANK_LISTENERS, to_string(entry.load_balancer));
  auto index = index_for(listener_indices_, listener_counters_, listener_active_, zero,
                         entry.listener, full, bank);
  if (index) banks_->put_listener(*index, entry.load_balancer);
  return index;
}

void DataPlaneOverMaps::note_idle_time(std::uint32_t index, std::uint32_t word) {
  const auto seconds = SLUICE_IDLE_SECONDS(word);
  note(short_listeners_, index, seconds != 0 && seconds <= SLUICE_SHORT_IDLE_SECONDS);
  note_idle_resets(index, word);
}

Result<void> DataPlaneOverMaps::write_listener(const control::ListenerKey& key,
                                               const sluice_listener& listener) {
  return key.address.is_v4() ? listeners4_.put(to_map4(key), listener)
                             : listeners6_.put(to_map6(key), listener);
}

// The IPv6 VIP is there also while the listener has no SNAT addresses: its connections may still
// have one, and so may those of other nodes that this one keeps.
Result<void> DataPlaneOverMaps::set_sources(std::uint32_t index, const control::PutListener& put) {
  const bool ipv6 = put.key.address.is_v6() && !control::is_mapped(put.key.address);
  if (ipv6 && put.entry.snat_source.is_v6()) {
    if (auto done = snat_vips_.put(index, to_map(put.entry.snat_source)); !done) return done;
  }
  if (!put.entry.snat_addresses4.empty()) {
    if (auto done = snat_sources_.set(index, false, put.entry.snat_addresses4); !done) return done;
  }
  return snat_sources_.set(index, sources_are_ipv6(put.key, put.entry), put.entry.snat_addresses);
}

Result<void> DataPlaneOverMaps::run(const control::PutListener& put) {
  const auto pool = pool_indices_.find(pool_entry_of(put.key, put.entry));
  if (!pool && !put.entry.pool.is_nil()) {
    return fail(ErrorKind::internal,
                fmt::format("listener {} names pool {}, which the data plane does not have",
                            to_string(put.entry.listener), to_string(put.entry.pool)));
  }
  const auto index = listener_index_for(put.entry);
  if (!index) return tl::unexpected(index.error());

  auto written = allowed_sources_.add(*index, put.entry.allowed_cidrs);
  if (written) written = listener_ranges_.set(put.key, *index, put.entry.last_port);
  if (written) written = listener_idle_.put(*index, idle_word(put.entry));
  if (written) note_idle_time(*index, idle_word(put.entry));
  if (written) written = write_recorded(*index, put.entry.recorded);
  // The listener's flag says that there are some.
  if (written && has_sources(put.entry)) written = set_sources(*index, put);
  if (written) {
    written = write_listener(put.key, to_map(put.entry, *index, pool.value_or(SLUICE_NO_INDEX)));
  }
  // In a mixed load balancer another entry of the listener may have some.
  if (written && !has_sources(put.entry) && !put.entry.mixed) {
    written = set_sources(*index, put);
  }
  if (!written) {
    (void)release_listener_if_unused(put.entry.listener);
    return written;
  }
  if (auto done = allowed_sources_.remove_others(*index, put.entry.allowed_cidrs); !done) {
    return done;
  }
  const auto former = note_entry(put.key, put.entry.listener);
  return former != put.entry.listener ? release_listener_if_unused(former) : Result<void>();
}

Result<void> DataPlaneOverMaps::run(const control::RemoveListener& remove) {
  const auto erased = remove.key.address.is_v4() ? listeners4_.erase(to_map4(remove.key))
                                                 : listeners6_.erase(to_map6(remove.key));
  if (!erased) return tl::unexpected(erased.error());
  if (auto done = listener_ranges_.set(remove.key, 0, 0); !done) return done;
  const auto former = note_entry(remove.key, Uuid{});
  return former.is_nil() ? Result<void>() : release_listener_if_unused(former);
}

}  // namespace sluice::dataplane
