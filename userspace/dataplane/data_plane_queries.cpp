#include "dataplane/data_plane_over_maps.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "dataplane/codec.hpp"
#include "dataplane/reasons.hpp"
#include "kernel/libbpf_log.hpp"
#include "maps/flow.h"

namespace sluice::dataplane {

// Objects for which the maps have no room are refused when they are requested.
model::Supported DataPlaneOverMaps::supported() const {
  model::Supported supported;
  supported.room = room_;
  return supported;
}

// ---- counters of reasons, flows, next hops ----

namespace {

control::HandshakeTimes from_map(const sluice_member_handshakes& timed) {
  control::HandshakeTimes times;
  times.sum_ns = timed.sum_nanoseconds;
  std::uint64_t limit = std::uint64_t{1} << SLUICE_HANDSHAKE_SHIFT;
  for (const auto answers : timed.answers) {
    times.buckets.push_back({limit, answers});
    limit *= 2;
  }
  times.buckets.back().at_most_ns = UINT64_MAX;
  return times;
}

}  // namespace

// Reads the map bank by bank. The objects come in their order, so nothing is searched.
Result<control::CountersById> DataPlaneOverMaps::all_counters_of(
    const kernel::CounterMap<sluice_counters>& map, const IndexTable& table) {
  const auto cpus = kernel::possible_cpus();
  std::vector<std::vector<sluice_counters>> banks;
  std::size_t indices = 0;
  for (const auto& range : table.used_ranges()) {
    auto values = map.per_cpu_of(range.begin, range.end - range.begin);
    if (!values) return tl::unexpected(values.error());
    banks.push_back(std::move(*values));
    indices += range.end - range.begin;
  }
  control::CountersById all;
  all.reserve(indices);
  table.for_each_used([&](const Uuid& object, std::uint32_t index) {
    const auto [bank, place] = table.place_of(index);
    auto& sum = all.emplace_hint(all.end(), object, Counters{})->second;
    const auto* first = &banks[bank][place * cpus];
    for (const auto* one = first; one != first + cpus; ++one) add(sum, *one);
  });
  return all;
}

Result<control::HandshakesById> DataPlaneOverMaps::all_handshakes() {
  const auto timed = member_handshakes_.entries(member_indices_.end());
  if (!timed) return tl::unexpected(timed.error());
  control::HandshakesById all;
  for (const auto& [index, times] : *timed) {
    if (std::ranges::all_of(times.answers, [](auto answers) { return answers == 0; })) continue;
    if (const auto member = member_indices_.object_at(index)) all.emplace(*member, from_map(times));
  }
  return all;
}

Result<std::vector<control::ReasonCount>> DataPlaneOverMaps::reason_counters() {
  std::vector<control::ReasonCount> counts;
  for (std::uint32_t reason = 0; reason < SLUICE_REASON_COUNT; ++reason) {
    const auto packets = packets_of_reason(program_, reason);
    if (!packets) return tl::unexpected(packets.error());
    const auto& text = reasons[reason];
    counts.push_back(
        {std::string(text.label), std::string(text.verdict), std::string(text.sentence), *packets});
  }
  return counts;
}

Result<std::vector<control::TableFill>> DataPlaneOverMaps::flow_tables() {
  const auto found = inspection_->connections();
  if (!found) return std::vector<control::TableFill>();
  return std::vector<control::TableFill>{{"flows4", found->ipv4, program_.flow_capacity()},
                                         {"flows6", found->ipv6, program_.flow_capacity6()}};
}

Result<store::Position> DataPlaneOverMaps::store_position() {
  constexpr std::uint32_t only = 0;
  const auto noted = store_position_.lookup(only);
  if (!noted) return tl::unexpected(noted.error());
  const auto value = noted->value_or(sluice_store_position{});
  return store::Position{from_map(value.id), value.generation};
}

Result<void> DataPlaneOverMaps::note_store_position(const store::Position& position) {
  constexpr std::uint32_t only = 0;
  return store_position_.put(only, {to_map(position.store), position.generation});
}

Result<void> DataPlaneOverMaps::renew_next_hops() {
  return address_filters_->raise_next_hop_generation();
}

// ---- inspection ----

// The lane gives up what is under way for these maps, and frees what it has loaded.
DataPlaneOverMaps::~DataPlaneOverMaps() {
  inspection_->give_up();
  if (lane_ == nullptr) return;
  lane_->go_first([inspection = std::move(inspection_)]() mutable -> std::function<void()> {
    inspection.reset();
    return {};
  });
}

bool DataPlaneOverMaps::inspect(control::Inspecting work, const control::Asker& asker) {
  if (lane_ != nullptr) {
    return lane_->ask(
        [work = std::move(work), inspection = inspection_] { return work(*inspection); }, asker);
  }
  if (const auto outcome = work(*inspection_)) outcome();
  return true;
}

void DataPlaneOverMaps::expire_flows(std::function<void(Result<control::ExpiryReport>)> done) {
  if (lane_ == nullptr) return done(inspection_->expire_flows());
  lane_->go_first([done = std::move(done), inspection = inspection_] {
    return [done, report = inspection->expire_flows()] { done(report); };
  });
}

void DataPlaneOverMaps::expire_short(std::function<void(Result<control::ShortExpiryReport>)> done) {
  if (lane_ == nullptr) return done(inspection_->expire_short());
  lane_->go_first([done = std::move(done), inspection = inspection_] {
    return [done, report = inspection->expire_short()] { done(report); };
  });
}

void DataPlaneOverMaps::reload(std::function<void(Result<control::Reloaded>)> done) {
  if (lane_ == nullptr) return done(inspection_->reload());
  lane_->go_first([done = std::move(done), inspection = inspection_] {
    return [done, reloaded = inspection->reload()] { done(reloaded); };
  });
}

// ---- interfaces ----

Result<std::vector<control::AttachedInterface>> DataPlaneOverMaps::interfaces() {
  const auto slots = slots_.all();
  if (!slots) return tl::unexpected(slots.error());
  std::vector<control::AttachedInterface> attached;
  for (const auto& slot : *slots) {
    // A slot may outlive its interface, and an interface of another network namespace may have the
    // same index.
    const auto name = attachment::nic_name(slot.ifindex);
    if (!name) continue;
    const auto running = attachment::running_xdp(slot.ifindex);
    if (running && running->mode != attachment::XdpMode::none)
      attached.push_back({slot.ifindex, *name});
  }
  return attached;
}

Result<std::vector<std::string>> DataPlaneOverMaps::refresh_interface_macs() {
  const auto attached = interfaces();
  if (!attached) return tl::unexpected(attached.error());
  std::vector<std::string> changed;
  for (const auto& [index, name] : *attached) {
    const auto nic = attachment::find_nic(name);
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
  static_cast<DataPlaneOverMaps*>(self)->taken_.requests.push_back(
      {request.ifindex, from_map(request.address, request.family == 6)});
  return 0;
}

namespace {

const char* words(std::uint32_t failure) {
  switch (failure) {
    case SLUICE_FAILURE_REFUSED:
      return "refused";
    case SLUICE_FAILURE_UNANSWERED:
      return "not answered";
    default:
      return "answered by ICMP: unreachable";
  }
}

}  // namespace

// Keeps a suspicion, unless its index belongs to no member any more.
int DataPlaneOverMaps::keep_suspicion(void* self, void* data, std::size_t size) {
  sluice_suspicion suspicion{};
  if (size < sizeof suspicion) return 0;
  std::memcpy(&suspicion, data, sizeof suspicion);
  auto& plane = *static_cast<DataPlaneOverMaps*>(self);
  if (const auto member = plane.member_indices_.object_at(suspicion.member)) {
    plane.taken_.suspicions.push_back(
        {*member, suspicion.failures >= SLUICE_FAILURE_BURST, words(suspicion.failure)});
  }
  return 0;
}

Result<BpfDataPlane::Notices> DataPlaneOverMaps::take_notices() {
  taken_ = {};
  if (const int error = ring_buffer__consume(notices_.get()); error < 0) {
    return kernel::fail_bpf(error, "read the data plane's ring buffers");
  }
  return std::exchange(taken_, {});
}

}  // namespace sluice::dataplane
