#include "dataplane/bpf_data_plane.hpp"

#include <fmt/format.h>

#include "dataplane/codec.hpp"
#include "dataplane/data_plane_over_maps.hpp"
#include "kernel/adoption.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/pin_lock.hpp"

namespace sluice::dataplane {

// ---- start ----

Result<void> DataPlaneOverMaps::recover() {
  if (pins_) {
    if (auto done = restore_programs(*pins_); !done) return done;
  }
  if (auto done = measure(); !done) return done;
  if (auto done = recover_members(); !done) return done;
  if (auto done = recover_pools(); !done) return done;
  if (auto done = recover_listeners(); !done) return done;
  auto filters = AddressFilters::open(program_);
  if (!filters) return tl::unexpected(std::move(filters.error()));
  address_filters_ = std::move(*filters);
  if (auto done = rebuild_address_filters(); !done) return done;
  return open_ring_buffers();
}

// Maps that an earlier version has made are smaller.
Result<void> DataPlaneOverMaps::measure() {
  Result<void> measured;
  const auto room_in = [&](const char* map) -> std::size_t {
    const auto capacity = program_.capacity(map);
    if (!capacity) measured = tl::unexpected(capacity.error());
    return capacity.value_or(0);
  };
  room_ = {.vips = room_in("vips4"),
           .listeners = room_in("listener_counters"),
           .listener_entries = room_in("listeners4"),
           .port_ranges = SLUICE_MAX_RANGES,
           .pools = room_in("pools"),
           .members = room_in("members")};
  if (!measured) return measured;
  const auto listeners = static_cast<std::uint32_t>(room_.listeners);
  listener_indices_ = IndexTable(listeners, SLUICE_BANK_LISTENERS);
  pool_indices_ = IndexTableOf<control::PoolKey>(static_cast<std::uint32_t>(room_.pools));
  banks_ = std::make_shared<LoadBalancerBanks>(listeners, SLUICE_MAX_MEMBERS);
  room_.listeners_of = [banks = banks_](const Uuid& load_balancer) {
    return std::size_t{banks->most_listeners_of(load_balancer)};
  };
  auto listener_banks = ListenerBanks::open(program_, kernel::Access::write);
  if (!listener_banks) return tl::unexpected(std::move(listener_banks.error()));
  listener_banks_ = std::move(*listener_banks);
  return {};
}

Result<void> DataPlaneOverMaps::recover_members() {
  const auto entries = members_.entries();
  if (!entries) return tl::unexpected(entries.error());
  const auto drains = member_drains_.all();
  if (!drains) return tl::unexpected(drains.error());
  const auto owners = member_load_balancers_.entries();
  if (!owners) return tl::unexpected(owners.error());
  for (const auto& [index, member] : *entries) {
    const auto id = from_map(member.id);
    if (id.is_nil()) continue;
    note_given_up(index, member);
    banks_->put_member(index, from_map(owners->at(index).second),
                       listener_banks_->of_member(index));
    if (is_removed(member)) {
      banks_->remove_member(index);
      member_indices_.adopt_released(index, id);
      if (const auto ends = drains->at(index).ends; ends != 0) {
        ends_of_removed_[index] = std::chrono::seconds(ends);
      }
    } else {
      member_indices_.adopt(index, id);
    }
  }
  return {};
}

Result<void> DataPlaneOverMaps::recover_pools() {
  const auto entries = pools_.entries();
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& [index, pool] : *entries) {
    const auto key = key_from_map(pool);
    if (key.id.is_nil()) continue;
    pool_indices_.adopt(index, key);
    // The rings are read now, while the process may still open maps by id.
    if (const auto ring = rings_.get(index); !ring) return tl::unexpected(ring.error());
  }
  return {};
}

Result<void> DataPlaneOverMaps::recover_listeners() {
  const auto entries = listener_entries();
  if (!entries) return tl::unexpected(entries.error());
  const auto idle = listener_idle_.entries();
  if (!idle) return tl::unexpected(idle.error());
  // Connections of removed listeners end as they did before.
  for (const auto& [index, word] : *idle) note_idle_resets(index, word);
  for (const auto& [key, listener] : *entries) {
    const auto word = listener.index < idle->size() ? (*idle)[listener.index].second : 0;
    if (auto done = recover_listener(key, listener, word); !done) return done;
  }
  return listener_ranges_.remove_strangers(*entries);
}

Result<void> DataPlaneOverMaps::recover_listener(const control::ListenerKey& key,
                                                 const sluice_listener& listener,
                                                 std::uint32_t idle_word) {
  if (listener.index >= room_.listeners) {
    return fail(ErrorKind::internal,
                fmt::format("a listener map names listener index {}", listener.index),
                "it was written by another version of Sluice");
  }
  note_idle_time(listener.index, idle_word);
  const auto id = from_map(listener.id);
  listener_indices_.adopt(listener.index, id);
  note_entry(key, id);
  const auto owner = owner_of(key.address);
  if (!owner) return tl::unexpected(owner.error());
  if (!owner->is_nil()) banks_->put_listener(listener.index, *owner);
  return {};
}

Result<Uuid> DataPlaneOverMaps::owner_of(const IpAddress& address) const {
  const auto vip =
      address.is_v4() ? vips4_.lookup(to_be32(address)) : vips6_.lookup(to_map(address));
  return vip.map([](const auto& found) { return found ? from_map(found->load_balancer) : Uuid{}; });
}

Result<void> DataPlaneOverMaps::open_ring_buffers() {
  notices_.reset(
      ring_buffer__new(program_.map_fd("resolve_requests"), keep_request, this, nullptr));
  if (!notices_) return kernel::fail_bpf(errno, "open ring buffer resolve_requests");
  if (const int error =
          ring_buffer__add(notices_.get(), program_.map_fd("suspicions"), keep_suspicion, this))
    return kernel::fail_bpf(error, "open ring buffer suspicions");
  return {};
}

// ---- read ----

Result<std::vector<std::pair<control::ListenerKey, sluice_listener>>>
DataPlaneOverMaps::listener_entries() const {
  std::vector<std::pair<control::ListenerKey, sluice_listener>> result;
  const auto add = [&result](const auto& entries) -> Result<void> {
    if (!entries) return tl::unexpected(entries.error());
    for (const auto& [map_key, listener] : *entries) {
      const auto key = from_map(map_key);
      if (!key) return tl::unexpected(key.error());
      result.emplace_back(*key, listener);
    }
    return {};
  };
  if (auto added = add(listeners4_.entries()); !added) return tl::unexpected(added.error());
  if (auto added = add(listeners6_.entries()); !added) return tl::unexpected(added.error());
  return result;
}

Result<void> DataPlaneOverMaps::read_sources(const control::ListenerKey& key,
                                             const sluice_listener& listener,
                                             control::ListenerEntry& entry) const {
  if (listener.flags & SLUICE_LISTENER_SNAT) {
    auto sources = snat_sources_.get(listener.index, sources_are_ipv6(key, entry));
    if (!sources) return tl::unexpected(std::move(sources.error()));
    entry.snat_addresses = std::move(*sources);
  }
  if (listener.flags & SLUICE_LISTENER_BOTH_VERSIONS) {
    auto sources = snat_sources_.get(listener.index, false);
    if (!sources) return tl::unexpected(std::move(sources.error()));
    entry.snat_addresses4 = std::move(*sources);
  }
  if (key.address.is_v4() || control::is_mapped(key.address)) return {};
  const auto vip = snat_vips_.lookup(listener.index);
  if (!vip) return tl::unexpected(vip.error());
  if (*vip && !from_map(**vip, true).is_unspecified()) entry.snat_source = from_map(**vip, true);
  return {};
}

// ---- what changed, and nothing else ----

namespace {

template <typename Read, typename Judge>
Result<std::optional<bool>> judged(const Read& read, Judge judge) {
  if (!read) return tl::unexpected(read.error());
  return std::optional<bool>(judge(*read));
}

}  // namespace

DataPlaneOverMaps::Held DataPlaneOverMaps::held(const control::PutVip& put) const {
  const auto same = [&](const auto& found) { return found && from_map(*found) == put.entry; };
  return put.address.is_v4() ? judged(vips4_.lookup(to_be32(put.address)), same)
                             : judged(vips6_.lookup(to_map(put.address)), same);
}

DataPlaneOverMaps::Held DataPlaneOverMaps::held(const control::RemoveVip& remove) const {
  const auto gone = [](const auto& found) { return !found; };
  return remove.address.is_v4() ? judged(vips4_.lookup(to_be32(remove.address)), gone)
                                : judged(vips6_.lookup(to_map(remove.address)), gone);
}

Result<std::optional<sluice_listener>> DataPlaneOverMaps::find_listener(
    const control::ListenerKey& key) const {
  return key.address.is_v4() ? listeners4_.lookup(to_map4(key)) : listeners6_.lookup(to_map6(key));
}

DataPlaneOverMaps::Held DataPlaneOverMaps::held(const control::PutListener& put) const {
  const auto index = listener_indices_.find(put.entry.listener);
  if (!index) return std::optional(false);
  const auto last_port = listener_ranges_.last_port(put.key, *index);
  if (!last_port) return tl::unexpected(last_port.error());
  const auto there = find_listener(put.key);
  if (!there) return tl::unexpected(there.error());
  const auto allowed = allowed_sources_.has(*index, put.entry.allowed_cidrs);
  if (!allowed) return tl::unexpected(allowed.error());
  const auto idle = listener_idle_.lookup(*index);
  if (!idle) return tl::unexpected(idle.error());
  control::ListenerEntry sources;
  sources.other_version = put.entry.other_version;
  if (*there) {
    if (auto done = read_sources(put.key, **there, sources); !done)
      return tl::unexpected(done.error());
  }
  return judged(there, [&](const std::optional<sluice_listener>& found) {
    const bool restricted = found && found->flags & SLUICE_LISTENER_RESTRICTED;
    if (!found || !*allowed || restricted == put.entry.allowed_cidrs.empty()) return false;
    auto entry = from_map(*found);
    read_idle_word(idle->value_or(0), entry);
    entry.allowed_cidrs = put.entry.allowed_cidrs;
    entry.snat_addresses = sources.snat_addresses;
    entry.snat_addresses4 = sources.snat_addresses4;
    if (put.key.address.is_v6()) entry.snat_source = sources.snat_source;
    const auto pool = pool_indices_.find(pool_entry_of(put.key, put.entry));
    const bool same_pool =
        put.entry.pool.is_nil() ? found->pool == SLUICE_NO_INDEX : pool && found->pool == *pool;
    entry.pool = put.entry.pool;
    if (put.key.address.is_v6()) entry.other_version = put.entry.other_version;
    entry.load_balancer = put.entry.load_balancer;
    entry.last_port = *last_port;
    return same_pool && entry == put.entry;
  });
}

DataPlaneOverMaps::Held DataPlaneOverMaps::held(const control::RemoveListener& remove) const {
  return judged(find_listener(remove.key), [](const auto& found) { return !found; });
}

DataPlaneOverMaps::Held DataPlaneOverMaps::held(const control::PutPool& put) {
  const auto index = pool_indices_.find(put.key);
  if (!index) return std::optional(false);
  const auto wanted = ring_elements(put);
  if (!wanted) return tl::unexpected(wanted.error());
  const auto ring = rings_.get(*index);
  if (!ring) return tl::unexpected(ring.error());
  return judged(pools_.lookup(*index), [&](const std::optional<sluice_pool>& found) {
    if (!found || key_from_map(*found) != put.key || *ring != *wanted) return false;
    auto entry = from_map(*found);
    entry.ring = put.entry.ring;
    entry.weights = put.entry.weights;
    return entry == put.entry;
  });
}

DataPlaneOverMaps::Held DataPlaneOverMaps::held(const control::RemovePool& remove) const {
  return std::optional(!pool_indices_.find(remove.key));
}

DataPlaneOverMaps::Held DataPlaneOverMaps::held(const control::PutMember& put) const {
  const auto index = member_indices_.find(put.id);
  if (!index) return std::optional(false);
  const auto drain = member_drains_.get(*index);
  if (!drain) return tl::unexpected(drain.error());
  const auto owner = member_load_balancers_.lookup(*index);
  if (!owner) return tl::unexpected(owner.error());
  return judged(members_.lookup(*index), [&](const std::optional<sluice_member>& found) {
    if (!found || from_map(found->id) != put.id || is_removed(*found)) return false;
    auto entry = from_map(*found);
    read_drain(*drain, entry);
    entry.load_balancer = from_map(owner->value_or(sluice_id{}));
    return entry == put.entry;
  });
}

DataPlaneOverMaps::Held DataPlaneOverMaps::held(const control::RemoveMember& remove) const {
  return std::optional(!member_indices_.find(remove.id));
}

Result<std::optional<bool>> DataPlaneOverMaps::holds(
    const std::vector<control::Operation>& operations) {
  for (const auto& operation : operations) {
    auto one = std::visit([this](const auto& it) { return held(it); }, operation);
    if (!one || one->value_or(false) == false) return one;
  }
  return std::optional(true);
}

namespace {

Result<std::unique_ptr<BpfDataPlane>> recovered(kernel::Program program,
                                                std::optional<kernel::PinDirectory> pins,
                                                SlowLane* lane) {
  auto data_plane = std::make_unique<DataPlaneOverMaps>(std::move(program), std::move(pins), lane);
  if (auto done = data_plane->recover(); !done) return tl::unexpected(std::move(done.error()));
  return data_plane;
}

}  // namespace

Result<std::unique_ptr<BpfDataPlane>> BpfDataPlane::open(const std::filesystem::path& pin_directory,
                                                         std::uint32_t flow_capacity,
                                                         SlowLane* lane) {
  const kernel::PinDirectory pins(pin_directory);
  const auto lock = kernel::lock_for_change(pins.path());
  if (!lock) return tl::unexpected(lock.error());
  auto adopted = kernel::adopt_or_load(pins, flow_capacity);
  if (!adopted) return tl::unexpected(std::move(adopted.error()));
  return recovered(std::move(adopted->program), pins, lane);
}

Result<std::unique_ptr<BpfDataPlane>> BpfDataPlane::over(kernel::Program program) {
  return recovered(std::move(program), std::nullopt, nullptr);
}

}  // namespace sluice::dataplane
