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
  supported.room = {.vips = SLUICE_MAX_VIPS,
                    .listeners = SLUICE_MAX_LISTENERS,
                    .listener_entries = SLUICE_MAX_LISTENER_ENTRIES,
                    .pools = SLUICE_MAX_POOLS,
                    .members = SLUICE_MAX_MEMBERS};
  return supported;
}

// ---- counters of reasons, flows, next hops ----

Result<control::HandshakeTimes> DataPlaneOverMaps::member_handshakes(const Uuid& member) {
  const auto index = member_indices_.find(member);
  if (!index) return control::HandshakeTimes{};
  const auto timed = member_handshakes_.lookup(*index);
  if (!timed) return tl::unexpected(timed.error());
  control::HandshakeTimes times;
  times.sum_ns = (*timed)->sum_nanoseconds;
  std::uint64_t limit = std::uint64_t{1} << SLUICE_HANDSHAKE_SHIFT;
  for (const auto answers : (*timed)->answers) {
    times.buckets.push_back({limit, answers});
    limit *= 2;
  }
  times.buckets.back().at_most_ns = UINT64_MAX;
  return times;
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

Result<control::ExpiryReport> DataPlaneOverMaps::expire_flows() {
  // An upgrade may have replaced the pinned program since we opened it.
  UniqueFd pinned;
  if (pins_) pinned.reset(bpf_obj_get(pins_->program("flow_expire").c_str()));
  const int program = pinned ? pinned.get() : program_.expire_fd();

  sluice_flow_expire sweep{};
  // The kernel writes the result back into ctx_in; it takes no ctx_out for such programs.
  LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &sweep, .ctx_size_in = sizeof sweep);
  if (bpf_prog_test_run_opts(program, &run) != 0) {
    return kernel::fail_bpf(errno, "run program flow_expire");
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
  return change_runtime([](sluice_runtime& runtime) { ++runtime.next_hop_generation; });
}

// ---- captures ----

Result<Uuid> DataPlaneOverMaps::start_capture(const control::CaptureFilter& filter) {
  if (!pins_) return BpfDataPlane::start_capture(filter);
  end_abandoned_capture();
  if (capture_) {
    return fail(ErrorKind::conflict, "Another capture is under way.",
                "end it, or wait until it ends");
  }
  auto started = Capture::start(program_, *pins_, filter);
  if (!started) return tl::unexpected(std::move(started.error()));
  capture_ = std::move(*started);
  return capture_->id();
}

Result<control::Captured> DataPlaneOverMaps::take_captured(const Uuid& capture, std::size_t limit) {
  if (!capture_ || capture_->id() != capture) return no_capture(capture);
  return capture_->take(limit);
}

Result<void> DataPlaneOverMaps::stop_capture(const Uuid& capture) {
  if (!capture_ || capture_->id() != capture) return no_capture(capture);
  capture_.reset();
  return {};
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
