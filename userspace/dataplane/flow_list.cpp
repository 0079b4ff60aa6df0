#include "dataplane/flow_list.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "dataplane/codec.hpp"
#include "dataplane/flow_slot.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/map.hpp"
#include "kernel/object.hpp"
#include "maps/flow.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/pool.h"

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
  if (sluice_flow_is_replica(state)) return "replica";
  return sluice_flow_is_confirmed(state) ? "established" : "opening";
}

// The flows' clock. Only the data plane can tell its time.
class TickClock {
 public:
  explicit TickClock(std::uint32_t now) : now_(now), seconds_(kernel::tick_seconds()) {}

  std::chrono::seconds since(std::uint64_t state) const {
    const auto ticks = sluice_flow_stamp_age(state, now_);
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

// An IPv4 client of a member that has an IPv6 address has a mapped one in its slot.
control::Endpoint endpoint(const sluice_address& address, bool ipv6, std::uint16_t port) {
  const auto found = from_map(address, ipv6);
  if (!control::is_mapped(found)) return {found, ntohs(port)};
  return {boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, found.to_v6()), ntohs(port)};
}

// Sets all bytes, because comparisons include them; `{}` sets only those of the first member.
sluice_address address4(__be32 value) {
  sluice_address address;
  std::memset(&address, 0, sizeof address);
  address.ipv4 = value;
  return address;
}

struct Key {
  sluice_address client, vip;
  std::uint16_t client_port, vip_port;
  std::uint32_t protocol;  // enum sluice_flow_protocol

  bool operator==(const Key& other) const { return std::memcmp(this, &other, sizeof *this) == 0; }
};
static_assert(sizeof(Key) == 40, "no padding, which would be compared, too");

std::uint32_t raw_protocol(std::uint64_t state) {
  return static_cast<std::uint32_t>(SLUICE_STATE_GET(state, PROTOCOL));
}

Key key_of(const sluice_flow4& slot) {
  return {address4(slot.source), address4(slot.destination), slot.source_port,
          slot.destination_port, raw_protocol(slot.state)};
}

Key key_of(const sluice_flow6& slot) {
  return {slot.source, slot.destination, slot.source_port, slot.destination_port,
          raw_protocol(slot.state)};
}

std::uint32_t to_map(model::Protocol protocol) {
  switch (protocol) {
    case model::Protocol::udp:
      return SLUICE_FLOW_UDP;
    case model::Protocol::sctp:
      return SLUICE_FLOW_SCTP;
    default:
      return SLUICE_FLOW_TCP;
  }
}

Key key_of(const FlowKey& flow) {
  const auto in_slot = [](const IpAddress& address) {
    return address.is_v4() ? address4(to_be32(address)) : kernel::to_map(address);
  };
  return {in_slot(flow.client.address), in_slot(flow.vip.address), htons(flow.client.port),
          htons(flow.vip.port), to_map(flow.protocol)};
}

std::uint32_t member_of(std::uint64_t state) {
  return static_cast<std::uint32_t>(SLUICE_STATE_GET(state, MEMBER));
}

Flow describe(const Key& key, std::uint64_t state, bool ipv6, const FlowNames& names,
              const TickClock& clock) {
  Flow flow;
  flow.protocol = protocol_of(state);
  flow.client = endpoint(key.client, ipv6, key.client_port);
  flow.vip = endpoint(key.vip, ipv6, key.vip_port);
  flow.state = state_text(state);
  flow.idle = clock.since(state);
  const auto listener = names.listener_of_flow(state);
  flow.listener_id = names.listener(listener);
  flow.pool_id = names.pool_of_listener(listener);
  const auto member = names.member(member_of(state));
  flow.member_id = member.id;
  flow.member = member.address;
  return flow;
}

bool is_mapped4(const sluice_address& address) {
  return control::is_mapped(from_map(address, true));
}

// A FlowFilter that judges the raw values of a slot.
class SlotFilter {
 public:
  SlotFilter(const control::FlowFilter& filter, const FlowNames& names) : names_(names) {
    for (std::uint32_t i = 0; i < SLUICE_MAX_LISTENERS; ++i) {
      listeners_.push_back((!filter.listener || *filter.listener == names.listener(i)) &&
                           (!filter.pool || *filter.pool == names.pool_of_listener(i)));
    }
    for (std::uint32_t i = 0; i <= SLUICE_STATE_MEMBER_MASK; ++i)
      members_.push_back(!filter.member || *filter.member == names.member(i).id);
    if (!filter.client) return;
    family_ = filter.client->is_v4() ? 4 : 6;
    network_ = kernel::to_map(*filter.client);
    const auto bits = std::min(filter.client_prefix, family_ == 4 ? 32U : 128U);
    for (unsigned bit = 0; bit < bits; ++bit)
      mask_.ipv6[bit / 8] = static_cast<std::uint8_t>(mask_.ipv6[bit / 8] | 0x80 >> bit % 8);
  }

  bool takes(std::uint64_t state) const {
    return listeners_[names_.listener_of_flow(state)] && members_[member_of(state)];
  }
  bool takes(const sluice_address& client, std::uint32_t family) const {
    if (family_ == 0) return true;
    if (family == 6 && is_mapped4(client)) {
      sluice_address ipv4{};
      ipv4.ipv4 = client.words[3];
      return takes(ipv4, 4);
    }
    if (family != family_) return false;
    for (std::size_t i = 0; i < sizeof mask_.ipv6; ++i) {
      if ((client.ipv6[i] ^ network_.ipv6[i]) & mask_.ipv6[i]) return false;
    }
    return true;
  }

 private:
  const FlowNames& names_;
  std::vector<bool> listeners_, members_;  // by index
  std::uint32_t family_ = 0;               // of the client; 0: any client
  sluice_address network_{}, mask_{};
};

// Calls `visit` with the key and place of each slot of a client's direction whose state `takes`,
// until that returns false; then returns false, too.
template <typename Bucket, typename Takes, typename Visit>
Result<bool> visit_slots(const kernel::Program& program, const char* map, std::uint32_t family,
                         const Takes& takes, const Visit& visit) {
  const auto buckets = kernel::MappedArray<Bucket>::open(program, map);
  if (!buckets) return tl::unexpected(buckets.error());
  std::uint32_t index = 0;
  for (const auto& bucket : *buckets) {
    for (const auto& place : bucket.slots) {
      const auto number = index++;
      const auto state = __atomic_load_n(&place.state, __ATOMIC_ACQUIRE);
      if (!SLUICE_STATE_GET(state, PROTOCOL) || state & SLUICE_FLOW_TO_CLIENT || !takes(state))
        continue;
      // The slot may belong to another flow by now.
      const auto slot = read_slot(place);
      if (!slot || slot->state & SLUICE_FLOW_TO_CLIENT || !takes(slot->state)) continue;
      const FlowSlot where{family, number, slot->state & SLUICE_STATE_FLOW};
      if (!visit(key_of(*slot), where)) return false;
    }
  }
  return true;
}

template <typename Takes, typename Visit>
Result<void> visit_both_tables(const kernel::Program& program, const Takes& takes,
                               const Visit& visit) {
  const auto more = visit_slots<sluice_bucket4>(program, "flows4", 4, takes, visit);
  if (!more) return tl::unexpected(more.error());
  if (!*more) return {};
  const auto rest = visit_slots<sluice_bucket6>(program, "flows6", 6, takes, visit);
  if (!rest) return tl::unexpected(rest.error());
  return {};
}

}  // namespace

Result<FlowNames> FlowNames::read(const kernel::Program& program) {
  FlowNames names;
  auto banks = ListenerBanks::open(program);
  if (!banks) return tl::unexpected(std::move(banks.error()));
  names.banks_ = std::make_shared<const ListenerBanks>(std::move(*banks));
  const auto pools = kernel::ArrayMap<sluice_pool>(program, "pools").entries();
  if (!pools) return tl::unexpected(pools.error());
  const auto add = [&](const auto& entries) -> Result<void> {
    if (!entries) return tl::unexpected(entries.error());
    for (const auto& [key, listener] : *entries) {
      if (listener.index >= SLUICE_MAX_LISTENERS) continue;  // no flow can have it
      if (names.listeners_.size() <= listener.index) names.listeners_.resize(listener.index + 1);
      auto& name = names.listeners_[listener.index];
      name.id = from_map(listener.id);
      if (listener.pool < pools->size()) name.pool = from_map((*pools)[listener.pool].second.id);
    }
    return {};
  };
  using kernel::Map;
  if (auto done = add(Map<sluice_listener4_key, sluice_listener>(program, "listeners4").entries());
      !done)
    return tl::unexpected(std::move(done.error()));
  if (auto done = add(Map<sluice_listener6_key, sluice_listener>(program, "listeners6").entries());
      !done)
    return tl::unexpected(std::move(done.error()));
  const auto members = kernel::ArrayMap<sluice_member>(program, "members").entries();
  if (!members) return tl::unexpected(members.error());
  for (const auto& [index, member] : *members) {
    const auto entry = from_map(member);
    names.members_.push_back({from_map(member.id), {entry.address, entry.port}});
  }
  return names;
}

Result<void> for_each_flow(const kernel::Program& program, const FlowNames& names,
                           const control::FlowFilter& filter,
                           const std::function<bool(const FoundFlow&)>& visit) {
  const auto now = run_flush(program.flush_fd(), no_slot);
  if (!now) return tl::unexpected(now.error());
  const TickClock clock(now->now_ticks);
  const SlotFilter wanted(filter, names);
  return visit_both_tables(
      program, [&](std::uint64_t state) { return wanted.takes(state); },
      [&](const Key& key, const FlowSlot& where) {
        if (!wanted.takes(key.client, where.family)) return true;
        return visit({describe(key, where.state, where.family == 6, names, clock), where,
                      std::string(reinterpret_cast<const char*>(&key), sizeof key)});
      });
}

Result<std::optional<std::pair<Flow, FlowSlot>>> find_flow(const kernel::Program& program,
                                                           const FlowNames& names,
                                                           const FlowKey& wanted) {
  const auto now = run_flush(program.flush_fd(), no_slot);
  if (!now) return tl::unexpected(now.error());
  const auto wanted_key = key_of(wanted);
  const bool is_ipv4 = wanted.client.address.is_v4();
  auto mapped_key = wanted;  // if its member has an IPv6 address
  if (is_ipv4) {
    mapped_key.client.address = control::mapped(wanted.client.address);
    mapped_key.vip.address = control::mapped(wanted.vip.address);
  }
  const auto wanted_key6 = key_of(mapped_key);
  std::optional<std::pair<Flow, FlowSlot>> found;
  const auto look = [&](const Key& key, const FlowSlot& where) {
    const bool is_ipv6 = where.family == 6;
    if (is_ipv6 ? key != wanted_key6 : !is_ipv4 || key != wanted_key) return true;
    found.emplace(describe(key, where.state, is_ipv6, names, TickClock(now->now_ticks)), where);
    return false;
  };
  const auto takes = [&](std::uint64_t state) {
    return raw_protocol(state) == wanted_key.protocol;
  };
  return visit_both_tables(program, takes, look).map([&] { return found; });
}

Result<bool> flush_flow(int program_fd, const FlowSlot& slot) {
  return run_flush(program_fd, slot).map([](const auto& done) { return done.flushed != 0; });
}

}  // namespace sluice::dataplane
