#include "dataplane/bpf_data_plane.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <type_traits>

#include "dataplane/adoption.hpp"
#include "dataplane/allowed_sources.hpp"
#include "dataplane/codec.hpp"
#include "dataplane/explain.hpp"
#include "dataplane/flow_list.hpp"
#include "dataplane/index_table.hpp"
#include "dataplane/interface_slots.hpp"
#include "dataplane/kernel_info.hpp"
#include "dataplane/libbpf_log.hpp"
#include "dataplane/map.hpp"
#include "dataplane/program.hpp"
#include "dataplane/reasons.hpp"
#include "dataplane/rings.hpp"
#include "maps/flow.h"
#include "maps/runtime.h"

namespace sluice::dataplane {
namespace {

using control::Counters;
using control::DataPlaneState;

struct CloseRingBuffer {
  void operator()(ring_buffer* buffer) const { ring_buffer__free(buffer); }
};

void add_to_filter(sluice_runtime& runtime, const IpAddress& address) {
  const auto bytes = to_map(address);
  if (address.is_v4()) {
    sluice_address_filter_add4(&runtime, bytes.ipv4);
  } else {
    sluice_address_filter_add6(&runtime, &bytes);
  }
}

class DataPlaneOverMaps : public BpfDataPlane {
 public:
  DataPlaneOverMaps(Program program, std::optional<PinDirectory> pins)
      : program_(std::move(program)), pins_(std::move(pins)) {}

  // Second half of construction: what an earlier daemon left in the maps.
  Result<void> recover();

  Result<DataPlaneState> read() override;
  Result<void> apply(const control::Operation& operation) override {
    return std::visit([this](const auto& one) { return run(one); }, operation);
  }
  Result<Counters> listener_counters(const Uuid& listener) override {
    return counters(listener_counters_, listener_indices_.find(listener));
  }
  Result<Counters> member_counters(const Uuid& member) override {
    return counters(member_counters_, member_indices_.find(member));
  }
  Result<std::vector<control::ReasonCount>> reason_counters() override;
  Result<control::ExpiryReport> expire_flows() override;
  Result<void> renew_next_hops() override;
  Result<std::vector<control::Flow>> flows(const control::FlowFilter& filter,
                                           std::size_t limit) override;
  Result<std::uint64_t> flush_flows(const control::FlowFilter& filter) override;
  Result<control::Explanation> explain(const control::Question& question) override {
    const auto pools = pools_by_listener();
    if (!pools) return tl::unexpected(pools.error());
    return dataplane::explain(program_, slots_, {members_, listener_indices_, *pools}, question);
  }
  Result<std::vector<control::AttachedInterface>> interfaces() override;

  const Program& program() const override { return program_; }
  int resolve_requests_fd() const override { return ring_buffer__epoll_fd(requests_.get()); }
  Result<std::vector<ResolveRequest>> take_resolve_requests() override;
  Result<std::vector<std::string>> refresh_interface_macs() override;
  Result<std::vector<std::uint32_t>> set_vlans(
      const std::vector<InterfaceSlots::Vlan>& vlans) override {
    return slots_.set_vlans(vlans);
  }

 private:
  Result<void> run(const control::PutVip& put);
  Result<void> run(const control::RemoveVip& remove);
  Result<void> run(const control::PutListener& put);
  Result<void> run(const control::RemoveListener& remove);
  Result<void> run(const control::PutPool& put);
  Result<void> run(const control::RemovePool& remove);
  Result<void> run(const control::PutMember& put);
  Result<void> run(const control::RemoveMember& remove);

  Result<void> change_runtime(const std::function<void(sluice_runtime&)>& change);
  Result<void> add_to_address_filter(const IpAddress& address);
  // Without the addresses that have gone. Removed members keep theirs as long as they may have
  // flows.
  Result<void> rebuild_address_filter();
  Result<void> recover_members();
  Result<void> recover_pools();
  Result<void> recover_listeners();
  Result<void> recover_listener(const control::ListenerKey& key, const sluice_listener& listener);
  Result<void> open_ring_buffer();

  Result<Counters> counters(const CounterMap<sluice_counters>& map,
                            std::optional<std::uint32_t> index) const;
  // The object's index, or a new one whose counters start at zero.
  Result<std::uint32_t> index_for(IndexTable& table, const CounterMap<sluice_counters>& map,
                                  const ArrayMap<std::uint32_t>& active, const Uuid& object,
                                  std::string_view full);
  Result<std::uint32_t> pool_index_for(const Uuid& pool);
  // Its entries in either family's map.
  Result<std::vector<std::pair<control::ListenerKey, sluice_listener>>> listener_entries() const;
  Result<void> write_listener(const control::ListenerKey& key, const sluice_listener& listener);
  Result<void> release_listener_if_unused(const Uuid& listener);
  Result<Ring> ring_elements(const control::PutPool& put) const;
  Result<std::map<std::uint32_t, Uuid>> pools_by_listener() const;
  static int keep_request(void* self, void* data, std::size_t size);

  Program program_;
  std::optional<PinDirectory> pins_;  // unset: not pinned

  Map<__be32, sluice_vip> vips4_{program_, "vips4"};
  Map<sluice_address, sluice_vip> vips6_{program_, "vips6"};
  Map<sluice_listener4_key, sluice_listener> listeners4_{program_, "listeners4"};
  Map<sluice_listener6_key, sluice_listener> listeners6_{program_, "listeners6"};
  AllowedSources allowed_sources_{program_};
  ArrayMap<sluice_pool> pools_{program_, "pools"};
  ArrayMap<sluice_member> members_{program_, "members"};
  ArrayMap<sluice_runtime> runtime_{program_, "runtime"};
  CounterMap<sluice_counters> listener_counters_{program_, "listener_counters"};
  CounterMap<sluice_counters> member_counters_{program_, "member_counters"};
  ArrayMap<std::uint32_t> listener_active_{program_, "listener_active"};
  ArrayMap<std::uint32_t> member_active_{program_, "member_active"};
  CounterMap<std::uint64_t> reason_counters_{program_, "reason_counters"};
  InterfaceSlots slots_{program_};
  Rings rings_{program_};

  IndexTable member_indices_{SLUICE_MAX_MEMBERS};
  IndexTable pool_indices_{SLUICE_MAX_POOLS};
  IndexTable listener_indices_{SLUICE_MAX_LISTENERS};
  std::map<control::ListenerKey, Uuid> listener_of_entry_;

  std::unique_ptr<ring_buffer, CloseRingBuffer> requests_;
  std::vector<ResolveRequest> taken_;
};

// ---- start ----

Result<void> DataPlaneOverMaps::recover() {
  if (auto done = recover_members(); !done) return done;
  if (auto done = recover_pools(); !done) return done;
  if (auto done = recover_listeners(); !done) return done;
  return open_ring_buffer();
}

Result<void> DataPlaneOverMaps::recover_members() {
  const auto entries = members_.entries();
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& [index, member] : *entries) {
    const auto id = from_map(member.id);
    if (id.is_nil()) continue;
    if (is_removed(member)) {
      member_indices_.adopt_released(index, id);
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
    const auto id = from_map(pool.id);
    if (id.is_nil()) continue;
    pool_indices_.adopt(index, id);
    // Learnt now, while opening maps by id is still allowed.
    if (const auto ring = rings_.get(index); !ring) return tl::unexpected(ring.error());
  }
  return {};
}

Result<void> DataPlaneOverMaps::recover_listeners() {
  const auto entries = listener_entries();
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& [key, listener] : *entries) {
    if (auto done = recover_listener(key, listener); !done) return done;
  }
  return {};
}

Result<void> DataPlaneOverMaps::recover_listener(const control::ListenerKey& key,
                                                 const sluice_listener& listener) {
  if (listener.index >= SLUICE_MAX_LISTENERS) {
    return fail(ErrorKind::internal,
                fmt::format("a listener map names listener index {}", listener.index),
                "it was written by another version of Sluice");
  }
  const auto id = from_map(listener.id);
  listener_indices_.adopt(listener.index, id);
  listener_of_entry_[key] = id;
  return {};
}

Result<void> DataPlaneOverMaps::open_ring_buffer() {
  requests_.reset(
      ring_buffer__new(program_.map_fd("resolve_requests"), keep_request, this, nullptr));
  if (!requests_) return fail_bpf(errno, "open ring buffer resolve_requests");
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

Result<DataPlaneState> DataPlaneOverMaps::read() {
  const auto vips4 = vips4_.entries();
  if (!vips4) return tl::unexpected(vips4.error());
  const auto vips6 = vips6_.entries();
  if (!vips6) return tl::unexpected(vips6.error());
  const auto allowed = allowed_sources_.by_listener();
  if (!allowed) return tl::unexpected(allowed.error());
  const auto listeners = listener_entries();
  if (!listeners) return tl::unexpected(listeners.error());
  const auto pools = pools_.entries();
  if (!pools) return tl::unexpected(pools.error());
  const auto members = members_.entries();
  if (!members) return tl::unexpected(members.error());

  DataPlaneState state;
  for (const auto& [address, vip] : *vips4) state.vips[ipv4_from_be32(address)] = from_map(vip);
  for (const auto& [address, vip] : *vips6) state.vips[from_map(address, true)] = from_map(vip);
  const auto pool_id = [&](std::uint32_t index) {
    return index < pools->size() ? from_map((*pools)[index].second.id) : Uuid{};
  };
  for (const auto& [key, listener] : *listeners) {
    auto& entry = state.listeners[key] = from_map(listener);
    entry.pool = pool_id(listener.pool);
    const auto networks = allowed->find(listener.index);
    if (listener.flags & SLUICE_LISTENER_RESTRICTED && networks != allowed->end()) {
      entry.allowed_cidrs = networks->second;
    }
  }
  for (const auto& [index, member] : *members) {
    const auto id = from_map(member.id);
    if (!id.is_nil() && !is_removed(member)) state.members[id] = from_map(member);
  }
  for (const auto& [index, pool] : *pools) {
    const auto id = from_map(pool.id);
    if (id.is_nil()) continue;
    const auto ring = rings_.get(index);
    if (!ring) return tl::unexpected(ring.error());
    auto& entry = state.pools[id] = from_map(pool);
    for (const auto element : *ring) {
      const auto slot = SLUICE_RING_MEMBER(element);
      entry.ring.push_back(slot < members->size() ? from_map((*members)[slot].second.id) : Uuid{});
      if (pool.algorithm == SLUICE_LEAST_CONNECTIONS) {
        entry.weights.push_back(static_cast<std::uint16_t>(SLUICE_RING_WEIGHT(element)));
      }
    }
  }
  return state;
}

// ---- indices and counters ----

Result<Counters> DataPlaneOverMaps::counters(const CounterMap<sluice_counters>& map,
                                             std::optional<std::uint32_t> index) const {
  Counters sum;
  if (!index) return sum;
  const auto cpus = map.per_cpu(*index);
  if (!cpus) return tl::unexpected(cpus.error());
  for (const auto& one : *cpus) add(sum, one);
  return sum;
}

Result<std::uint32_t> DataPlaneOverMaps::index_for(IndexTable& table,
                                                   const CounterMap<sluice_counters>& map,
                                                   const ArrayMap<std::uint32_t>& active,
                                                   const Uuid& object, std::string_view full) {
  if (const auto index = table.find(object)) return *index;
  const auto without_flows = [&](std::uint32_t index) {
    const auto sum = counters(map, index);
    return sum && sum->active_flows() == 0;
  };
  const auto allocation = table.allocate(object, without_flows);
  if (!allocation) return fail(ErrorKind::conflict, std::string(full));
  if (allocation->fresh) {
    auto zeroed = map.set_to_zero(allocation->index);
    if (zeroed) zeroed = active.put(allocation->index, 0);
    if (!zeroed) {
      table.release(object);
      return tl::unexpected(std::move(zeroed.error()));
    }
  }
  return allocation->index;
}

Result<std::uint32_t> DataPlaneOverMaps::pool_index_for(const Uuid& pool) {
  if (const auto index = pool_indices_.find(pool)) return *index;
  const auto allocation = pool_indices_.allocate(pool, [](std::uint32_t) { return true; });
  if (allocation) return allocation->index;
  return fail(ErrorKind::conflict,
              fmt::format("map pools is full: it holds {} entries", SLUICE_MAX_POOLS));
}

// ---- operations ----

Result<void> DataPlaneOverMaps::run(const control::PutVip& put) {
  if (auto added = add_to_address_filter(put.address); !added) return added;
  const auto entry = to_map(put.entry);
  if (put.address.is_v4()) return vips4_.put(to_be32(put.address), entry);
  return vips6_.put(to_map(put.address), entry);
}

Result<void> DataPlaneOverMaps::run(const control::RemoveVip& remove) {
  const auto erased = remove.address.is_v4() ? vips4_.erase(to_be32(remove.address))
                                             : vips6_.erase(to_map(remove.address));
  if (!erased) return tl::unexpected(erased.error());
  return rebuild_address_filter();
}

Result<void> DataPlaneOverMaps::change_runtime(const std::function<void(sluice_runtime&)>& change) {
  constexpr std::uint32_t only = 0;
  const auto present = runtime_.lookup(only);
  if (!present) return tl::unexpected(present.error());
  auto next = present->value_or(sluice_runtime{});
  change(next);
  return runtime_.put(only, next);
}

Result<void> DataPlaneOverMaps::add_to_address_filter(const IpAddress& address) {
  return change_runtime([&](sluice_runtime& runtime) { add_to_filter(runtime, address); });
}

Result<void> DataPlaneOverMaps::rebuild_address_filter() {
  const auto vips4 = vips4_.entries();
  if (!vips4) return tl::unexpected(vips4.error());
  const auto vips6 = vips6_.entries();
  if (!vips6) return tl::unexpected(vips6.error());
  const auto members = members_.entries();
  if (!members) return tl::unexpected(members.error());
  return change_runtime([&](sluice_runtime& runtime) {
    std::fill(std::begin(runtime.address_filter), std::end(runtime.address_filter), 0);
    for (const auto& [address, vip] : *vips4) sluice_address_filter_add4(&runtime, address);
    for (const auto& [address, vip] : *vips6) sluice_address_filter_add6(&runtime, &address);
    for (const auto& [index, member] : *members) {
      if (from_map(member.id).is_nil()) continue;
      add_to_filter(runtime, from_map(member).address);
    }
  });
}

Result<void> DataPlaneOverMaps::run(const control::PutMember& put) {
  const auto index =
      index_for(member_indices_, member_counters_, member_active_, put.id,
                fmt::format("map members is full: its {} entries are in use or still have flows",
                            SLUICE_MAX_MEMBERS));
  if (!index) return tl::unexpected(index.error());
  if (auto added = add_to_address_filter(put.entry.address); !added) return added;
  return members_.put(*index, to_map(put.id, put.entry));
}

Result<void> DataPlaneOverMaps::run(const control::RemoveMember& remove) {
  const auto index = member_indices_.find(remove.id);
  if (!index) return {};
  const auto member = members_.lookup(*index);
  if (!member) return tl::unexpected(member.error());
  if (*member) {
    if (auto marked = members_.put(*index, removed(**member)); !marked) return marked;
  }
  member_indices_.release(remove.id);
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
                                                   to_string(put.id), to_string(id)));
    }
    const auto position = ring.size();
    const auto weight =
        position < put.entry.weights.size() ? put.entry.weights[position] : std::uint16_t{0};
    ring.push_back(SLUICE_RING_WEIGHTED(*index, weight));
  }
  return ring;
}

Result<void> DataPlaneOverMaps::run(const control::PutPool& put) {
  const auto ring = ring_elements(put);
  if (!ring) return tl::unexpected(ring.error());
  const bool known = pool_indices_.find(put.id).has_value();
  const auto index = pool_index_for(put.id);
  if (!index) return tl::unexpected(index.error());
  auto written = rings_.put(*index, *ring);
  if (written) written = pools_.put(*index, to_map(put.id, put.entry));
  if (!written && !known) pool_indices_.release(put.id);
  return written;
}

Result<void> DataPlaneOverMaps::run(const control::RemovePool& remove) {
  const auto index = pool_indices_.find(remove.id);
  if (!index) return {};
  if (auto cleared = pools_.put(*index, sluice_pool{}); !cleared) return cleared;
  if (auto erased = rings_.erase(*index); !erased) return erased;
  pool_indices_.release(remove.id);
  return {};
}

Result<void> DataPlaneOverMaps::release_listener_if_unused(const Uuid& listener) {
  for (const auto& [key, id] : listener_of_entry_) {
    if (id == listener) return {};
  }
  const auto index = listener_indices_.find(listener);
  if (!index) return {};
  // The index may be another listener's soon.
  auto cleared = allowed_sources_.remove_others(*index, {});
  listener_indices_.release(listener);
  return cleared;
}

Result<void> DataPlaneOverMaps::write_listener(const control::ListenerKey& key,
                                               const sluice_listener& listener) {
  return key.address.is_v4() ? listeners4_.put(to_map4(key), listener)
                             : listeners6_.put(to_map6(key), listener);
}

Result<void> DataPlaneOverMaps::run(const control::PutListener& put) {
  const auto pool = pool_indices_.find(put.entry.pool);
  if (!pool && !put.entry.pool.is_nil()) {
    return fail(ErrorKind::internal,
                fmt::format("listener {} names pool {}, which the data plane does not have",
                            to_string(put.entry.listener), to_string(put.entry.pool)));
  }
  const auto index =
      index_for(listener_indices_, listener_counters_, listener_active_, put.entry.listener,
                fmt::format("map listener_counters is full: its {} entries are in use or still "
                            "have flows",
                            SLUICE_MAX_LISTENERS));
  if (!index) return tl::unexpected(index.error());

  auto written = allowed_sources_.add(*index, put.entry.allowed_cidrs);
  if (written) {
    written = write_listener(put.key, to_map(put.entry, *index, pool.value_or(SLUICE_NO_INDEX)));
  }
  if (!written) {
    (void)release_listener_if_unused(put.entry.listener);
    return written;
  }
  if (auto done = allowed_sources_.remove_others(*index, put.entry.allowed_cidrs); !done) {
    return done;
  }
  const auto former = std::exchange(listener_of_entry_[put.key], put.entry.listener);
  return former != put.entry.listener ? release_listener_if_unused(former) : Result<void>();
}

Result<void> DataPlaneOverMaps::run(const control::RemoveListener& remove) {
  const auto erased = remove.key.address.is_v4() ? listeners4_.erase(to_map4(remove.key))
                                                 : listeners6_.erase(to_map6(remove.key));
  if (!erased) return tl::unexpected(erased.error());
  const auto entry = listener_of_entry_.extract(remove.key);
  return entry ? release_listener_if_unused(entry.mapped()) : Result<void>();
}

// ---- counters of reasons, flows, next hops ----

Result<std::vector<control::ReasonCount>> DataPlaneOverMaps::reason_counters() {
  std::vector<control::ReasonCount> counts;
  for (std::uint32_t reason = 0; reason < SLUICE_REASON_COUNT; ++reason) {
    const auto cpus = reason_counters_.per_cpu(reason);
    if (!cpus) return tl::unexpected(cpus.error());
    const auto& text = reasons[reason];
    auto& count = counts.emplace_back(control::ReasonCount{
        std::string(text.label), std::string(text.verdict), std::string(text.sentence), 0});
    for (const auto one : *cpus) count.packets += one;
  }
  return counts;
}

Result<control::ExpiryReport> DataPlaneOverMaps::expire_flows() {
  // An upgrade may have replaced the pinned program since we opened it.
  UniqueFd pinned;
  if (pins_) pinned.reset(bpf_obj_get(pins_->program("flow_expire").c_str()));
  const int program = pinned ? pinned.get() : program_.expire_fd();

  sluice_flow_expire sweep{};
  // The kernel writes the result back into ctx_in; it takes no ctx_out for such programs.
  LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &sweep, .ctx_size_in = sizeof sweep);
  if (bpf_prog_test_run_opts(program, &run) != 0) {
    return fail_bpf(errno, "run program flow_expire");
  }
  if (run.retval != 0) {
    return fail(ErrorKind::internal, fmt::format("program flow_expire returned {}",
                                                 static_cast<std::int32_t>(run.retval)));
  }
  return control::ExpiryReport{sweep.live, sweep.expired};
}

Result<std::map<std::uint32_t, Uuid>> DataPlaneOverMaps::pools_by_listener() const {
  const auto listeners = listener_entries();
  if (!listeners) return tl::unexpected(listeners.error());
  const auto pools = pools_.entries();
  if (!pools) return tl::unexpected(pools.error());
  std::map<std::uint32_t, Uuid> result;
  for (const auto& [key, listener] : *listeners) {
    if (listener.pool < pools->size()) {
      result[listener.index] = from_map((*pools)[listener.pool].second.id);
    }
  }
  return result;
}

Result<std::vector<control::Flow>> DataPlaneOverMaps::flows(const control::FlowFilter& filter,
                                                            std::size_t limit) {
  const auto pools = pools_by_listener();
  if (!pools) return tl::unexpected(pools.error());
  const FlowNames names{members_, listener_indices_, *pools};
  std::vector<control::Flow> found;
  const auto keep = [&](const control::Flow& flow, const FlowSlot&) {
    if (!control::matches(filter, flow)) return true;
    found.push_back(flow);
    return found.size() < limit;
  };
  if (auto done = for_each_flow(program_, names, keep); !done) return tl::unexpected(done.error());
  return found;
}

Result<std::uint64_t> DataPlaneOverMaps::flush_flows(const control::FlowFilter& filter) {
  const auto pools = pools_by_listener();
  if (!pools) return tl::unexpected(pools.error());
  const FlowNames names{members_, listener_indices_, *pools};
  std::vector<FlowSlot> wanted;
  const auto keep = [&](const control::Flow& flow, const FlowSlot& slot) {
    if (control::matches(filter, flow)) wanted.push_back(slot);
    return true;
  };
  if (auto done = for_each_flow(program_, names, keep); !done) return tl::unexpected(done.error());
  UniqueFd pinned;
  if (pins_) pinned.reset(bpf_obj_get(pins_->program("flow_flush").c_str()));
  std::uint64_t flushed = 0;
  for (const auto& slot : wanted) {
    const auto done = flush_flow(pinned ? pinned.get() : program_.flush_fd(), slot);
    if (!done) return tl::unexpected(done.error());
    flushed += *done;
  }
  return flushed;
}

Result<void> DataPlaneOverMaps::renew_next_hops() {
  return change_runtime([](sluice_runtime& runtime) { ++runtime.next_hop_generation; });
}

// ---- interfaces ----

Result<std::vector<control::AttachedInterface>> DataPlaneOverMaps::interfaces() {
  const auto slots = slots_.all();
  if (!slots) return tl::unexpected(slots.error());
  std::vector<control::AttachedInterface> attached;
  for (const auto& slot : *slots) {
    // A slot outlives its interface, and one of another network namespace may have the same number.
    const auto name = nic_name(slot.ifindex);
    if (!name) continue;
    const auto running = running_xdp(slot.ifindex);
    if (running && running->mode != XdpMode::none) attached.push_back({slot.ifindex, *name});
  }
  return attached;
}

Result<std::vector<std::string>> DataPlaneOverMaps::refresh_interface_macs() {
  const auto attached = interfaces();
  if (!attached) return tl::unexpected(attached.error());
  std::vector<std::string> changed;
  for (const auto& [index, name] : *attached) {
    const auto nic = find_nic(name);
    if (!nic || nic->index != index) continue;
    const auto refreshed = slots_.refresh(*nic);
    if (!refreshed) return tl::unexpected(refreshed.error());
    if (*refreshed) changed.push_back(name);
  }
  return changed;
}

int DataPlaneOverMaps::keep_request(void* self, void* data, std::size_t size) {
  sluice_resolve_request request{};
  if (size < sizeof request) return 0;
  std::memcpy(&request, data, sizeof request);
  static_cast<DataPlaneOverMaps*>(self)->taken_.push_back(
      {request.ifindex, from_map(request.address, request.family == 6)});
  return 0;
}

Result<std::vector<BpfDataPlane::ResolveRequest>> DataPlaneOverMaps::take_resolve_requests() {
  taken_.clear();
  if (const int error = ring_buffer__consume(requests_.get()); error < 0) {
    return fail_bpf(error, "read ring buffer resolve_requests");
  }
  return std::exchange(taken_, {});
}

Result<std::unique_ptr<BpfDataPlane>> recovered(Program program, std::optional<PinDirectory> pins) {
  auto data_plane = std::make_unique<DataPlaneOverMaps>(std::move(program), std::move(pins));
  if (auto done = data_plane->recover(); !done) return tl::unexpected(std::move(done.error()));
  return data_plane;
}

}  // namespace

Result<std::unique_ptr<BpfDataPlane>> BpfDataPlane::open(const std::filesystem::path& pin_directory,
                                                         std::uint32_t flow_capacity) {
  const PinDirectory pins(pin_directory);
  auto adopted = adopt_or_load(pins, flow_capacity);
  if (!adopted) return tl::unexpected(std::move(adopted.error()));
  return recovered(std::move(adopted->program), pins);
}

Result<std::unique_ptr<BpfDataPlane>> BpfDataPlane::over(Program program) {
  return recovered(std::move(program), std::nullopt);
}

}  // namespace sluice::dataplane
