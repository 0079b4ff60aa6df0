#include "dataplane/end_prober.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/udp.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <random>
#include <span>
#include <thread>

#include "dataplane/codec.hpp"
#include "dataplane/flow_slot.hpp"
#include "dataplane/listener_banks.hpp"
#include "kernel/address.hpp"
#include "kernel/map.hpp"
#include "maps/listener.h"
#include "maps/member.h"

namespace sluice::dataplane {
namespace {

using Bytes = std::vector<std::uint8_t>;

// A member is asked first: with the client's reset the flow is gone, and with it what is known of
// the member's connection.
constexpr auto for_the_members_answers = std::chrono::milliseconds(50);

constexpr std::uint8_t hop_limit = 64;

IpAddress ipv6(const sluice_address& address) {
  return kernel::from_map(address, true);
}

EndProbes probes_between(const EndProbe& to_client, const EndProbe& to_member) {
  // The client's packets keep their destination on the way to a member that answers directly.
  const bool direct = to_member.to == to_client.from;
  return {to_client, direct ? std::nullopt : std::optional(to_member)};
}

void append(Bytes& to, const void* what, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(what);
  to.insert(to.end(), bytes, bytes + size);
}

void append(Bytes& to, const IpAddress& address) {
  const auto add = [&](const auto& bytes) { append(to, bytes.data(), bytes.size()); };
  address.is_v4() ? add(address.to_v4().to_bytes()) : add(address.to_v6().to_bytes());
}

// The Internet checksum (RFC 1071) of an even number of bytes, in network byte order.
std::uint16_t checksum(std::span<const std::uint8_t> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

tcphdr header_of(const EndProbe& probe, std::uint32_t sequence, std::uint32_t acknowledgement) {
  tcphdr tcp{};
  tcp.source = htons(probe.from_port);
  tcp.dest = htons(probe.to_port);
  tcp.seq = htonl(sequence);
  tcp.ack_seq = htonl(acknowledgement);
  tcp.doff = sizeof tcp / 4;
  tcp.ack = 1;
  tcp.window = htons(65535);
  // The pseudo header has the same content for both IP versions.
  Bytes summed;
  append(summed, probe.from);
  append(summed, probe.to);
  const std::uint16_t rest[] = {htons(IPPROTO_TCP), htons(sizeof tcp)};
  append(summed, rest, sizeof rest);
  append(summed, &tcp, sizeof tcp);
  tcp.check = checksum(summed);
  return tcp;
}

// What the slots of connections that may be over have in common.
struct Over {
  ListenerBanks banks;
  std::vector<bool> listeners = {}, members = {};  // by index
  std::vector<sluice_member> described = {};       // likewise
  bool any = false;

  bool operator()(std::uint64_t state) const {
    return SLUICE_STATE_GET(state, PROTOCOL) == SLUICE_FLOW_TCP &&
           !(state & SLUICE_FLOW_TO_CLIENT) && !SLUICE_STATE_GET(state, HOP) &&
           sluice_flow_is_confirmed(state) && !sluice_flow_is_closed(state) &&
           !sluice_flow_is_replica(state) &&
           (listeners[banks.listener_of_flow(state)] || members[SLUICE_STATE_GET(state, MEMBER)]);
  }
  EndProbes probes_of(const sluice_flow4& slot) const { return end_probes(slot); }
  EndProbes probes_of(const sluice_flow6& slot) const {
    return end_probes(slot, described.at(SLUICE_STATE_GET(slot.state, MEMBER)));
  }
};

template <typename Value, typename Judge>
Result<bool> note(std::vector<bool>& which, const kernel::Program& program, const char* map,
                  std::uint64_t highest, const Judge& judge) {
  const auto entries = kernel::ArrayMap<Value>(program, map).entries();
  if (!entries) return tl::unexpected(entries.error());
  which.resize(highest + 1);
  bool any = false;
  for (const auto& [index, value] : *entries) {
    if (index > highest || !judge(value)) continue;
    which[index] = any = true;
  }
  return any;
}

Result<Over> what_may_be_over(const kernel::Program& program) {
  auto banks = ListenerBanks::open(program);
  if (!banks) return tl::unexpected(std::move(banks.error()));
  Over over{std::move(*banks)};
  const auto listeners =
      note<std::uint32_t>(over.listeners, program, "listener_idle", SLUICE_MAX_LISTENERS - 1,
                          [](std::uint32_t word) { return (word & SLUICE_IDLE_RESETS) != 0; });
  if (!listeners) return tl::unexpected(listeners.error());
  const auto members = note<sluice_member>(over.members, program, "members",
                                           SLUICE_STATE_MEMBER_MASK, [&](const sluice_member& one) {
                                             over.described.push_back(one);
                                             return (one.flags & SLUICE_MEMBER_GIVEN_UP) != 0;
                                           });
  if (!members) return tl::unexpected(members.error());
  over.any = *listeners || *members;
  return over;
}

// Calls `visit` with each forward slot of a connection that is over.
template <typename Bucket, typename Visit>
Result<void> visit_slots(const kernel::Program& program, const char* map, const Over& over,
                         const Visit& visit) {
  const auto buckets = kernel::MappedArray<Bucket>::open(program, map);
  if (!buckets) return tl::unexpected(buckets.error());
  for (const auto& bucket : *buckets) {
    for (const auto& place : bucket.slots) {
      if (!over(__atomic_load_n(&place.state, __ATOMIC_ACQUIRE))) continue;
      const auto slot = read_slot(place);
      if (slot && over(slot->state)) visit(over.probes_of(*slot));
    }
  }
  return {};
}

std::uint32_t random_number() {
  static thread_local std::minstd_rand random(std::random_device{}());
  return static_cast<std::uint32_t>(random()) << 16 ^ static_cast<std::uint32_t>(random());
}

}  // namespace

EndProbes end_probes(const sluice_flow4& slot) {
  const auto address = [](__be32 value) { return IpAddress(ipv4_from_be32(value)); };
  return probes_between({address(slot.destination), address(slot.source),
                         ntohs(slot.destination_port), ntohs(slot.source_port)},
                        {address(slot.new_source), address(slot.new_destination),
                         ntohs(slot.new_source_port), ntohs(slot.new_destination_port)});
}

EndProbes end_probes(const sluice_flow6& slot, const sluice_member& member) {
  const bool keeps_client = (slot.state & SLUICE_FLOW_KEEPS_CLIENT) != 0;
  const bool is_fullnat =
      (member.flags & (SLUICE_MEMBER_DSR | SLUICE_MEMBER_IPIP | SLUICE_MEMBER_DNAT)) == 0;
  auto source = keeps_client ? slot.source : slot.destination;
  auto destination = slot.other;
  if (keeps_client && is_fullnat) {  // a SNAT address
    source = slot.other;
    destination = member.address;
  }
  return probes_between({ipv6(slot.destination), ipv6(slot.source), ntohs(slot.destination_port),
                         ntohs(slot.source_port)},
                        {ipv6(source), ipv6(destination), ntohs(slot.new_source_port),
                         ntohs(slot.new_destination_port)});
}

Bytes packet_of(const EndProbe& probe, std::uint32_t sequence, std::uint32_t acknowledgement) {
  const auto tcp = header_of(probe, sequence, acknowledgement);
  Bytes packet;
  if (probe.to.is_v4()) {
    iphdr ip{};
    ip.version = 4;
    ip.ihl = sizeof ip / 4;
    ip.tot_len = htons(sizeof ip + sizeof tcp);
    ip.frag_off = htons(IP_DF);
    ip.ttl = hop_limit;
    ip.protocol = IPPROTO_TCP;
    append(packet, &ip, sizeof ip - 2 * sizeof(in_addr));
  } else {
    ip6_hdr ip{};
    ip.ip6_flow = htonl(6U << 28);
    ip.ip6_plen = htons(sizeof tcp);
    ip.ip6_nxt = IPPROTO_TCP;
    ip.ip6_hlim = hop_limit;
    append(packet, &ip, sizeof ip - 2 * sizeof(in6_addr));
  }
  append(packet, probe.from);
  append(packet, probe.to);
  append(packet, &tcp, sizeof tcp);
  return packet;
}

Result<int> EndProber::socket(bool ipv6) {
  auto& fd = sockets_[ipv6 ? 1 : 0];
  if (fd) return fd.get();
  // A socket of this protocol takes packets with their IP header, and never receives any.
  UniqueFd fresh(
      ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  const int yes = 1;
  const bool open = fresh && ::setsockopt(fresh.get(), ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                          ipv6 ? IPV6_HDRINCL : IP_HDRINCL, &yes, sizeof yes) == 0;
  if (!open) return fail_errno(errno, "open a raw socket to reset connections that are over");
  fd = std::move(fresh);
  return fd.get();
}

// A packet that can't be sent now is repeated after the next sweep.
Result<void> EndProber::send(const EndProbe& probe) {
  const auto fd = socket(probe.to.is_v6());
  if (!fd) return tl::unexpected(fd.error());
  const auto packet = packet_of(probe, random_number(), random_number());
  const boost::asio::ip::udp::endpoint to(probe.to, 0);  // a raw socket has no ports
  (void)::sendto(*fd, packet.data(), packet.size(), MSG_DONTWAIT, to.data(),
                 static_cast<socklen_t>(to.size()));
  return {};
}

Result<std::size_t> EndProber::probe(const kernel::Program& program) {
  const auto over = what_may_be_over(program);
  if (!over) return tl::unexpected(over.error());
  if (!over->any) return 0U;
  std::vector<EndProbes> found;
  std::size_t number = 0;
  const auto keep = [&](EndProbes probes) {
    if (number++ >= skip_ && found.size() < most_at_a_time) found.push_back(std::move(probes));
  };
  if (auto done = visit_slots<sluice_bucket4>(program, "flows4", *over, keep); !done)
    return tl::unexpected(std::move(done.error()));
  if (auto done = visit_slots<sluice_bucket6>(program, "flows6", *over, keep); !done)
    return tl::unexpected(std::move(done.error()));
  skip_ = skip_ + found.size() < number ? skip_ + found.size() : 0;
  if (found.empty()) return 0U;

  for (const auto& probes : found) {
    if (!probes.member) continue;
    if (auto sent = send(*probes.member); !sent) return tl::unexpected(std::move(sent.error()));
  }
  std::this_thread::sleep_for(for_the_members_answers);
  for (const auto& probes : found) {
    if (auto sent = send(probes.client); !sent) return tl::unexpected(std::move(sent.error()));
  }
  return found.size();
}

}  // namespace sluice::dataplane
