#include "dataplane/flow_list.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <chrono>

#include "dataplane/codec.hpp"
#include "dataplane/flow_slot.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/object.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"

namespace sluice::dataplane {
namespace {

using control::Flow;

model::Protocol protocol_of(std::uint64_t state) {
  switch (SLUICE_STATE_GET(state, PROTOCOL)) {
    case SLUICE_FLOW_UDP:
      return model::Protocol::udp;
    case SLUICE_FLOW_SCTP:
      return model::Protocol::sctp;
    default:
      return model::Protocol::tcp;
  }
}

const char* state_text(std::uint64_t state) {
  if (sluice_flow_is_closed(state)) return "closed";
  if (state & SLUICE_FLOW_CLOSED) return "closing";
  return sluice_flow_is_confirmed(state) ? "established" : "opening";
}

// The flows' clock. Only the data plane can tell its time.
class TickClock {
 public:
  explicit TickClock(std::uint32_t now) : now_(now), seconds_(kernel::tick_seconds()) {}

  std::chrono::seconds since(std::uint64_t state) const {
    const auto ticks = (now_ - SLUICE_STATE_GET(state, SEEN)) & SLUICE_STATE_SEEN_MASK;
    // The slot was stamped after `now` was read.
    if (ticks > SLUICE_STATE_SEEN_MASK / 16 * 15) return std::chrono::seconds(0);
    return std::chrono::seconds(static_cast<std::int64_t>(static_cast<double>(ticks) * seconds_));
  }

 private:
  std::uint32_t now_;
  double seconds_;
};

Result<sluice_flow_flush> run_flush(int program_fd, const FlowSlot& slot) {
  sluice_flow_flush request{};
  request.family = slot.family;
  request.index = slot.index;
  request.state = slot.state;
  // The kernel writes the result back into ctx_in; it takes no ctx_out for such programs.
  LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &request, .ctx_size_in = sizeof request);
  if (bpf_prog_test_run_opts(program_fd, &run) != 0) {
    return kernel::fail_bpf(errno, "run program flow_flush");
  }
  return request;
}

// No slot has this index, so nothing is flushed.
constexpr FlowSlot no_slot{4, 0xffffffff, 0};

control::Endpoint endpoint(const sluice_address& address, bool ipv6, std::uint16_t port) {
  return {from_map(address, ipv6), ntohs(port)};
}

sluice_address address4(__be32 value) {
  sluice_address address{};
  address.ipv4 = value;
  return address;
}

struct Key {
  sluice_address client, vip;
  std::uint16_t client_port, vip_port;
};

Key key_of(const sluice_flow4& slot) {
  return {address4(slot.source), address4(slot.destination), slot.source_port,
          slot.destination_port};
}

Key key_of(const sluice_flow6& slot) {
  return {slot.source, slot.destination, slot.source_port, slot.destination_port};
}

template <typename Slot>
Flow describe(const Slot& slot, const FlowNames& names, bool ipv6, const TickClock& clock) {
  Flow flow;
  const auto key = key_of(slot);
  flow.protocol = protocol_of(slot.state);
  flow.client = endpoint(key.client, ipv6, key.client_port);
  flow.vip = endpoint(key.vip, ipv6, key.vip_port);
  flow.state = state_text(slot.state);
  flow.idle = clock.since(slot.state);
  const auto listener = static_cast<std::uint32_t>(SLUICE_STATE_GET(slot.state, LISTENER));
  flow.listener_id = names.listeners.object_at(listener).value_or(Uuid{});
  const auto pool = names.pool_of_listener.find(listener);
  if (pool != names.pool_of_listener.end()) flow.pool_id = pool->second;
  const auto member =
      names.members.lookup(static_cast<std::uint32_t>(SLUICE_STATE_GET(slot.state, MEMBER)));
  if (member && *member) {
    const auto entry = from_map(**member);
    flow.member_id = from_map((*member)->id);
    flow.member = {entry.address, entry.port};
  }
  return flow;
}

// Calls `visit` with each slot of a client's direction and its place, until that returns false;
// then returns false, too.
template <typename Bucket, typename Visit>
Result<bool> visit_slots(const kernel::Program& program, const char* map, std::uint32_t family,
                         const Visit& visit) {
  const auto buckets = kernel::MappedArray<Bucket>::open(program, map);
  if (!buckets) return tl::unexpected(buckets.error());
  std::uint32_t index = 0;
  for (const auto& bucket : *buckets) {
    for (const auto& place : bucket.slots) {
      const auto number = index++;
      const auto slot = read_slot(place);
      if (!slot || slot->state & SLUICE_FLOW_TO_CLIENT) continue;
      const FlowSlot where{family, number, slot->state & SLUICE_STATE_FLOW};
      if (!visit(*slot, where)) return false;
    }
  }
  return true;
}

template <typename Visit>
Result<void> visit_both_tables(const kernel::Program& program, const Visit& visit) {
  const auto more = visit_slots<sluice_bucket4>(program, "flows4", 4, visit);
  if (!more) return tl::unexpected(more.error());
  if (!*more) return {};
  const auto rest = visit_slots<sluice_bucket6>(program, "flows6", 6, visit);
  if (!rest) return tl::unexpected(rest.error());
  return {};
}

}  // namespace

Result<void> for_each_flow(const kernel::Program& program, const FlowNames& names,
                           const std::function<bool(const Flow&, const FlowSlot&)>& visit) {
  const auto now = run_flush(program.flush_fd(), no_slot);
  if (!now) return tl::unexpected(now.error());
  const TickClock clock(now->now_ticks);
  return visit_both_tables(program, [&](const auto& slot, const FlowSlot& where) {
    return visit(describe(slot, names, where.family == 6, clock), where);
  });
}

Result<std::optional<std::pair<Flow, FlowSlot>>> find_flow(const kernel::Program& program,
                                                           const FlowNames& names,
                                                           const FlowKey& wanted) {
  const auto now = run_flush(program.flush_fd(), no_slot);
  if (!now) return tl::unexpected(now.error());
  std::optional<std::pair<Flow, FlowSlot>> found;
  const auto look = [&](const auto& slot, const FlowSlot& where) {
    const bool ipv6 = where.family == 6;
    const auto key = key_of(slot);
    if (endpoint(key.client, ipv6, key.client_port) != wanted.client ||
        endpoint(key.vip, ipv6, key.vip_port) != wanted.vip ||
        protocol_of(slot.state) != wanted.protocol)
      return true;
    found.emplace(describe(slot, names, ipv6, TickClock(now->now_ticks)), where);
    return false;
  };
  return visit_both_tables(program, look).map([&] { return found; });
}

Result<bool> flush_flow(int program_fd, const FlowSlot& slot) {
  return run_flush(program_fd, slot).map([](const auto& done) { return done.flushed != 0; });
}

}  // namespace sluice::dataplane
