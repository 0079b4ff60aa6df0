#include "dataplane/bpf_data_plane.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <type_traits>

#include "dataplane/adoption.hpp"
#include "dataplane/codec.hpp"
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
  Result<std::vector<control::AttachedInterface>> interfaces() override;

  const Program& program() const override { return program_; }
  int resolve_requests_fd() const override { return ring_buffer__epoll_fd(requests_.get()); }
  Result<std::vector<ResolveRequest>> take_resolve_requests() override;
  Result<std::vector<std::string>> refresh_interface_macs() override;

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
  Result<void> add_to_address_filter(__be32 address);
  // Without the addresses that have gone. Removed members keep theirs as long as they may have
  // flows.
  Result<void> rebuild_address_filter();
  Result<void> recover_members();
  Result<void> recover_pools();
  Result<void> recover_listeners();
  Result<void> open_ring_buffer();

  Result<Counters> counters(const CounterMap<sluice_counters>& map,
                            std::optional<std::uint32_t> index) const;
  // The object's index, or a new one whose counters start at zero.
  Result<std::uint32_t> index_for(IndexTable& table, const CounterMap<sluice_counters>& map,
                                  const Uuid& object, std::string_view full);
  Result<std::uint32_t> pool_index_for(const Uuid& pool);
  void release_listener_if_unused(const Uuid& listener);
  Result<std::vector<std::uint32_t>> ring_indices(const control::PutPool& put) const;
  static int keep_request(void* self, void* data, std::size_t size);

  Program program_;
  std::optional<PinDirectory> pins_;  // unset: not pinned

  Map<__be32, sluice_vip> vips_{program_, "vips4"};
  Map<sluice_listener4_key, sluice_listener4> listeners_{program_, "listeners4"};
  ArrayMap<sluice_pool> pools_{program_, "pools"};
  ArrayMap<sluice_member> members_{program_, "members"};
  ArrayMap<sluice_runtime> runtime_{program_, "runtime"};
  CounterMap<sluice_counters> listener_counters_{program_, "listener_counters"};
  CounterMap<sluice_counters> member_counters_{program_, "member_counters"};
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
  const auto entries = listeners_.entries();
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& [map_key, listener] : *entries) {
    const auto key = from_map(map_key);
    if (!key) return tl::unexpected(key.error());
    if (listener.index >= SLUICE_MAX_LISTENERS) {
      return fail(ErrorKind::internal,
                  fmt::format("map listeners4 names listener index {}", listener.index),
                  "it was written by another version of Sluice");
    }
    const auto id = from_map(listener.id);
    listener_indices_.adopt(listener.index, id);
    listener_of_entry_[*key] = id;
  }
  return {};
}

Result<void> DataPlaneOverMaps::open_ring_buffer() {
  requests_.reset(
      ring_buffer__new(program_.map_fd("resolve_requests"), keep_request, this, nullptr));
  if (!requests_) return fail_bpf(errno, "open ring buffer resolve_requests");
  return {};
}

// ---- read ----

Result<DataPlaneState> DataPlaneOverMaps::read() {
  const auto vips = vips_.entries();
  if (!vips) return tl::unexpected(vips.error());
  const auto listeners = listeners_.entries();
  if (!listeners) return tl::unexpected(listeners.error());
  const auto pools = pools_.entries();
  if (!pools) return tl::unexpected(pools.error());
  const auto members = members_.entries();
  if (!members) return tl::unexpected(members.error());

  DataPlaneState state;
  for (const auto& [address, vip] : *vips) {
    state.vips[ipv4_from_be32(address)] = from_map(vip);
  }
  const auto pool_id = [&](std::uint32_t index) {
    return index < pools->size() ? from_map((*pools)[index].second.id) : Uuid{};
  };
  for (const auto& [map_key, listener] : *listeners) {
    const auto key = from_map(map_key);
    if (!key) return tl::unexpected(key.error());
    state.listeners[*key] = {from_map(listener.id), pool_id(listener.pool),
                             ipv4_from_be32(listener.snat_source)};
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
    auto& entry = state.pools[id];
    entry.forwarding_mode = forwarding_mode(pool);
    for (const auto slot : *ring) {
      entry.ring.push_back(slot < members->size() ? from_map((*members)[slot].second.id) : Uuid{});
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
                                                   const Uuid& object, std::string_view full) {
  if (const auto index = table.find(object)) return *index;
  const auto without_flows = [&](std::uint32_t index) {
    const auto sum = counters(map, index);
    return sum && sum->active_flows() == 0;
  };
  const auto allocation = table.allocate(object, without_flows);
  if (!allocation) return fail(ErrorKind::conflict, std::string(full));
  if (allocation->fresh) {
    if (auto zeroed = map.set_to_zero(allocation->index); !zeroed) {
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
  const auto address = to_map(put.address);
  if (!address) return tl::unexpected(address.error());
  if (auto added = add_to_address_filter(*address); !added) return added;
  return vips_.put(*address, to_map(put.entry));
}

Result<void> DataPlaneOverMaps::run(const control::RemoveVip& remove) {
  const auto address = to_map(remove.address);
  if (!address) return tl::unexpected(address.error());
  const auto erased = vips_.erase(*address);
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

Result<void> DataPlaneOverMaps::add_to_address_filter(__be32 address) {
  return change_runtime(
      [&](sluice_runtime& runtime) { sluice_address_filter_add4(&runtime, address); });
}

Result<void> DataPlaneOverMaps::rebuild_address_filter() {
  const auto vips = vips_.entries();
  if (!vips) return tl::unexpected(vips.error());
  const auto members = members_.entries();
  if (!members) return tl::unexpected(members.error());
  return change_runtime([&](sluice_runtime& runtime) {
    std::fill(std::begin(runtime.address_filter), std::end(runtime.address_filter), 0);
    for (const auto& [address, vip] : *vips) sluice_address_filter_add4(&runtime, address);
    for (const auto& [index, member] : *members) {
      if (from_map(member.id).is_nil()) continue;
      sluice_address_filter_add4(&runtime, member.address.ipv4);
    }
  });
}

Result<void> DataPlaneOverMaps::run(const control::PutMember& put) {
  const auto member = to_map(put.id, put.entry);
  if (!member) return tl::unexpected(member.error());
  const auto index =
      index_for(member_indices_, member_counters_, put.id,
                fmt::format("map members is full: its {} entries are in use or still have flows",
                            SLUICE_MAX_MEMBERS));
  if (!index) return tl::unexpected(index.error());
  if (auto added = add_to_address_filter(member->address.ipv4); !added) return added;
  return members_.put(*index, *member);
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

Result<std::vector<std::uint32_t>> DataPlaneOverMaps::ring_indices(
    const control::PutPool& put) const {
  std::vector<std::uint32_t> ring;
  ring.reserve(put.entry.ring.size());
  for (const auto& id : put.entry.ring) {
    const auto index = member_indices_.find(id);
    if (!index) {
      return fail(ErrorKind::internal, fmt::format("the ring of pool {} names member {}, which "
                                                   "the data plane does not have",
                                                   to_string(put.id), to_string(id)));
    }
    ring.push_back(*index);
  }
  return ring;
}

Result<void> DataPlaneOverMaps::run(const control::PutPool& put) {
  const auto ring = ring_indices(put);
  if (!ring) return tl::unexpected(ring.error());
  const bool known = pool_indices_.find(put.id).has_value();
  const auto index = pool_index_for(put.id);
  if (!index) return tl::unexpected(index.error());
  auto written = rings_.put(*index, *ring);
  if (written) written = pools_.put(*index, to_map(put.id, put.entry.forwarding_mode));
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

void DataPlaneOverMaps::release_listener_if_unused(const Uuid& listener) {
  for (const auto& [key, id] : listener_of_entry_) {
    if (id == listener) return;
  }
  listener_indices_.release(listener);
}

Result<void> DataPlaneOverMaps::run(const control::PutListener& put) {
  const auto key = to_map(put.key);
  if (!key) return tl::unexpected(key.error());
  const auto snat_source = to_map(put.entry.snat_source);
  if (!snat_source) return tl::unexpected(snat_source.error());
  const auto pool = pool_indices_.find(put.entry.pool);
  if (!pool && !put.entry.pool.is_nil()) {
    return fail(ErrorKind::internal,
                fmt::format("listener {} names pool {}, which the data plane does not have",
                            to_string(put.entry.listener), to_string(put.entry.pool)));
  }
  const auto index =
      index_for(listener_indices_, listener_counters_, put.entry.listener,
                fmt::format("map listener_counters is full: its {} entries are in use or still "
                            "have flows",
                            SLUICE_MAX_LISTENERS));
  if (!index) return tl::unexpected(index.error());

  auto written = listeners_.put(
      *key, {to_map(put.entry.listener), *index, pool.value_or(SLUICE_NO_INDEX), *snat_source});
  if (!written) {
    release_listener_if_unused(put.entry.listener);
    return written;
  }
  const auto former = std::exchange(listener_of_entry_[put.key], put.entry.listener);
  if (former != put.entry.listener) release_listener_if_unused(former);
  return {};
}

Result<void> DataPlaneOverMaps::run(const control::RemoveListener& remove) {
  const auto key = to_map(remove.key);
  if (!key) return tl::unexpected(key.error());
  const auto erased = listeners_.erase(*key);
  if (!erased) return tl::unexpected(erased.error());
  const auto entry = listener_of_entry_.extract(remove.key);
  if (entry) release_listener_if_unused(entry.mapped());
  return {};
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
    const auto slot = slots_.find(index);
    if (!slot) return tl::unexpected(slot.error());
    if (!nic || nic->index != index || !*slot || mac_of(**slot) == nic->mac) continue;
    if (auto written = slots_.set_mac(**slot, nic->mac); !written) {
      return tl::unexpected(std::move(written.error()));
    }
    changed.push_back(name);
  }
  return changed;
}

int DataPlaneOverMaps::keep_request(void* self, void* data, std::size_t size) {
  sluice_resolve_request request{};
  if (size < sizeof request) return 0;
  std::memcpy(&request, data, sizeof request);
  static_cast<DataPlaneOverMaps*>(self)->taken_.push_back(
      {request.ifindex, ipv4_from_be32(request.address)});
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
