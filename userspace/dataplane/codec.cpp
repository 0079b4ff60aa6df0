#include "dataplane/codec.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace sluice::dataplane {
namespace {

using model::Algorithm;
using model::ForwardingMode;
using model::Protocol;

constexpr unsigned mapped_prefix = 96;  // ::ffff:0:0/96 holds IPv4 (RFC 4291, 2.5.5.2)

std::uint32_t limit_to_map(std::int32_t limit) {
  return limit < 0 ? SLUICE_NO_LIMIT : static_cast<std::uint32_t>(limit);
}

std::int32_t limit_from_map(std::uint32_t limit) {
  return limit == SLUICE_NO_LIMIT ? -1 : static_cast<std::int32_t>(limit);
}

std::uint8_t ip_protocol(Protocol protocol) {
  switch (protocol) {
    case Protocol::udp:
      return IPPROTO_UDP;
    case Protocol::sctp:
      return IPPROTO_SCTP;
    default:
      return IPPROTO_TCP;
  }
}

Result<Protocol> protocol_from_map(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return Protocol::tcp;
    case IPPROTO_UDP:
      return Protocol::udp;
    case IPPROTO_SCTP:
      return Protocol::sctp;
    default:
      return fail(ErrorKind::internal, fmt::format("a listener map holds IP protocol {}", protocol),
                  "it was written by another version of Sluice");
  }
}

// A MAGLEV pool is a SOURCE_IP_PORT pool to the data plane: both have a Maglev table as ring.
sluice_algorithm to_map(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::least_connections:
      return SLUICE_LEAST_CONNECTIONS;
    case Algorithm::source_ip:
      return SLUICE_SOURCE_IP;
    case Algorithm::source_ip_port:
    case Algorithm::maglev:
      return SLUICE_SOURCE_IP_PORT;
    case Algorithm::round_robin:
      break;
  }
  return SLUICE_ROUND_ROBIN;
}

Algorithm algorithm_from_map(std::uint8_t algorithm) {
  switch (algorithm) {
    case SLUICE_LEAST_CONNECTIONS:
      return Algorithm::least_connections;
    case SLUICE_SOURCE_IP:
      return Algorithm::source_ip;
    case SLUICE_SOURCE_IP_PORT:
      return Algorithm::source_ip_port;
    default:
      return Algorithm::round_robin;
  }
}

sluice_forwarding_mode to_map(ForwardingMode mode) {
  switch (mode) {
    case ForwardingMode::dnat:
      return SLUICE_DNAT;
    case ForwardingMode::dsr:
      return SLUICE_DSR;
    case ForwardingMode::ipip:
      return SLUICE_IPIP;
    case ForwardingMode::gue:
      return SLUICE_GUE;
    case ForwardingMode::fullnat:
      break;
  }
  return SLUICE_FULLNAT;
}

ForwardingMode mode_from_map(std::uint8_t mode) {
  switch (mode) {
    case SLUICE_DNAT:
      return ForwardingMode::dnat;
    case SLUICE_DSR:
      return ForwardingMode::dsr;
    case SLUICE_IPIP:
      return ForwardingMode::ipip;
    case SLUICE_GUE:
      return ForwardingMode::gue;
    default:
      return ForwardingMode::fullnat;
  }
}

std::uint16_t member_flags(const control::MemberEntry& entry) {
  unsigned flags = 0;
  if (entry.usable) flags |= SLUICE_MEMBER_USABLE;
  if (entry.failed) flags |= SLUICE_MEMBER_FAILED;
  if (entry.given_up) flags |= SLUICE_MEMBER_GIVEN_UP;
  if (entry.keeps) flags |= SLUICE_MEMBER_KEEPS;
  if (entry.address.is_v6()) flags |= SLUICE_MEMBER_IPV6;
  if (entry.forwarding_mode == ForwardingMode::dsr) flags |= SLUICE_MEMBER_DSR;
  if (entry.forwarding_mode == ForwardingMode::ipip) flags |= SLUICE_MEMBER_IPIP;
  if (entry.forwarding_mode == ForwardingMode::gue) flags |= SLUICE_MEMBER_IPIP | SLUICE_MEMBER_GUE;
  if (entry.forwarding_mode == ForwardingMode::dnat) flags |= SLUICE_MEMBER_DNAT;
  if (entry.proxied) flags |= SLUICE_MEMBER_PROXY;
  return static_cast<std::uint16_t>(flags);
}

ForwardingMode mode_from_flags(std::uint16_t flags) {
  if (flags & SLUICE_MEMBER_DSR) return ForwardingMode::dsr;
  if (flags & SLUICE_MEMBER_GUE) return ForwardingMode::gue;
  if (flags & SLUICE_MEMBER_IPIP) return ForwardingMode::ipip;
  return flags & SLUICE_MEMBER_DNAT ? ForwardingMode::dnat : ForwardingMode::fullnat;
}

}  // namespace

static_assert(sizeof(Uuid) == SLUICE_ID_BYTES);

sluice_vip to_map(const control::VipEntry& entry) {
  return {to_map(entry.load_balancer),
          (entry.up ? SLUICE_VIP_UP : 0) | (entry.resets ? SLUICE_VIP_REJECTS : 0) |
              (entry.standby ? SLUICE_VIP_STANDBY : 0) | (entry.snat ? SLUICE_VIP_SNAT : 0) |
              (entry.leaving ? SLUICE_VIP_LEAVING : 0) | (entry.mixed ? SLUICE_VIP_MIXED : 0)};
}

control::VipEntry from_map(const sluice_vip& vip) {
  return {from_map(vip.load_balancer),           (vip.flags & SLUICE_VIP_UP) != 0,
          (vip.flags & SLUICE_VIP_REJECTS) != 0, (vip.flags & SLUICE_VIP_STANDBY) != 0,
          (vip.flags & SLUICE_VIP_SNAT) != 0,    (vip.flags & SLUICE_VIP_LEAVING) != 0,
          (vip.flags & SLUICE_VIP_MIXED) != 0};
}

sluice_member to_map(const Uuid& id, const control::MemberEntry& entry) {
  sluice_member member{};
  member.id = to_map(id);
  member.address = to_map(entry.address);
  member.port = htons(entry.port);
  member.flags = member_flags(entry);
  member.max_connections = entry.max_connections;
  return member;
}

control::MemberEntry from_map(const sluice_member& member) {
  return {from_map(member.address, (member.flags & SLUICE_MEMBER_IPV6) != 0),
          ntohs(member.port),
          (member.flags & SLUICE_MEMBER_USABLE) != 0,
          (member.flags & SLUICE_MEMBER_FAILED) != 0,
          mode_from_flags(member.flags),
          (member.flags & SLUICE_MEMBER_GIVEN_UP) != 0,
          (member.flags & SLUICE_MEMBER_KEEPS) != 0,
          member.max_connections,
          (member.flags & SLUICE_MEMBER_PROXY) != 0};
}

sluice_member removed(sluice_member member) {
  unsigned flags = (member.flags & ~SLUICE_MEMBER_USABLE) | SLUICE_MEMBER_REMOVED;
  // No monitor can bring it back, so its connections are given up even if its pool has no other
  // member.
  if (flags & SLUICE_MEMBER_FAILED && !(flags & SLUICE_MEMBER_KEEPS)) {
    flags |= SLUICE_MEMBER_GIVEN_UP;
  }
  member.flags = static_cast<__u16>(flags);
  return member;
}

bool is_removed(const sluice_member& member) {
  return (member.flags & SLUICE_MEMBER_REMOVED) != 0;
}

sluice_member_drain drain_of(const control::MemberEntry& entry) {
  sluice_member_drain drain{};
  if (entry.drain_seconds) drain.seconds_plus_one = *entry.drain_seconds + 1;
  if (entry.drained_until) {
    drain.drained_until = static_cast<__u64>(entry.drained_until->time_since_epoch().count());
  }
  return drain;
}

void read_drain(const sluice_member_drain& drain, control::MemberEntry& entry) {
  if (drain.seconds_plus_one != 0) entry.drain_seconds = drain.seconds_plus_one - 1;
  if (drain.drained_until != 0) {
    entry.drained_until = std::chrono::sys_seconds(
        std::chrono::seconds(static_cast<std::int64_t>(drain.drained_until)));
  }
}

sluice_member_drain removed(sluice_member_drain drain, std::chrono::sys_seconds now,
                            std::chrono::seconds since_boot) {
  control::MemberEntry entry;
  read_drain(drain, entry);
  if (!entry.drained_until && !entry.drain_seconds) return {};
  auto left = entry.drained_until ? std::max(*entry.drained_until - now, std::chrono::seconds(0))
                                  : std::chrono::seconds(*entry.drain_seconds);
  drain.ends = static_cast<__u32>(std::max<std::int64_t>((since_boot + left).count(), 1));
  return drain;
}

sluice_pool to_map(const control::PoolKey& key, const control::PoolEntry& entry) {
  sluice_pool pool{};
  pool.id = to_map(key.id);
  pool.ipv6 = key.ipv6 ? 1 : 0;
  pool.forwarding_mode = to_map(entry.forwarding_mode);
  pool.algorithm = to_map(entry.algorithm);
  pool.persistence_bits = entry.persistence_bits;
  pool.persistence_seconds = entry.persistence_seconds;
  return pool;
}

control::PoolKey key_from_map(const sluice_pool& pool) {
  return {from_map(pool.id), pool.ipv6 != 0};
}

control::PoolEntry from_map(const sluice_pool& pool) {
  control::PoolEntry entry;
  entry.forwarding_mode = mode_from_map(pool.forwarding_mode);
  entry.algorithm = algorithm_from_map(pool.algorithm);
  entry.persistence_seconds = pool.persistence_seconds;
  entry.persistence_bits = pool.persistence_bits;
  return entry;
}

sluice_listener4_key to_map4(const control::ListenerKey& key) {
  return {to_be32(key.address), htons(key.port), ip_protocol(key.protocol), 0};
}

sluice_listener6_key to_map6(const control::ListenerKey& key) {
  return {to_map(key.address), htons(key.port), ip_protocol(key.protocol), {}};
}

Result<control::ListenerKey> from_map(const sluice_listener4_key& key) {
  const auto protocol = protocol_from_map(key.protocol);
  if (!protocol) return tl::unexpected(protocol.error());
  return control::ListenerKey{ipv4_from_be32(key.address), ntohs(key.port), *protocol};
}

Result<control::ListenerKey> from_map(const sluice_listener6_key& key) {
  const auto protocol = protocol_from_map(key.protocol);
  if (!protocol) return tl::unexpected(protocol.error());
  return control::ListenerKey{from_map(key.address, true), ntohs(key.port), *protocol};
}

namespace {

std::uint32_t flags_of(model::SynAuthentication value) {
  switch (value) {
    case model::SynAuthentication::automatic:
      return SLUICE_LISTENER_AUTHENTICATES;
    case model::SynAuthentication::always:
      return SLUICE_LISTENER_AUTHENTICATES_ALWAYS;
    case model::SynAuthentication::off:
      break;
  }
  return 0;
}

model::SynAuthentication syn_authentication_of(std::uint32_t flags) {
  if (flags & SLUICE_LISTENER_AUTHENTICATES_ALWAYS) return model::SynAuthentication::always;
  return flags & SLUICE_LISTENER_AUTHENTICATES ? model::SynAuthentication::automatic
                                               : model::SynAuthentication::off;
}

}  // namespace

sluice_listener to_map(const control::ListenerEntry& entry, std::uint32_t index,
                       std::uint32_t pool) {
  sluice_listener listener{};
  listener.id = to_map(entry.listener);
  listener.index = index;
  listener.pool = pool;
  if (!entry.allowed_cidrs.empty()) listener.flags |= SLUICE_LISTENER_RESTRICTED;
  if (entry.resets) listener.flags |= SLUICE_LISTENER_RESETS;
  if (entry.per_packet) listener.flags |= SLUICE_LISTENER_PER_PACKET;
  if (!entry.recorded) listener.flags |= SLUICE_LISTENER_UNRECORDED;
  if (has_sources(entry)) listener.flags |= SLUICE_LISTENER_SNAT;
  if (entry.both_versions) listener.flags |= SLUICE_LISTENER_BOTH_VERSIONS;
  if (entry.other_version) listener.flags |= SLUICE_LISTENER_TO_IPV6;
  if (entry.mixed) listener.flags |= SLUICE_LISTENER_MIXED;
  listener.flags |= flags_of(entry.syn_authentication);
  listener.flags |= entry.connect_tenths << SLUICE_LISTENER_CONNECT_SHIFT;
  listener.connection_limit = limit_to_map(entry.connection_limit);
  listener.new_connection_limit = limit_to_map(entry.new_connection_limit);
  if (entry.snat_source.is_v4()) listener.snat_source = to_be32(entry.snat_source);
  return listener;
}

bool has_sources(const control::ListenerEntry& entry) {
  return !entry.snat_addresses.empty() || !entry.snat_addresses4.empty();
}

bool sources_are_ipv6(const control::ListenerKey& key, const control::ListenerEntry& entry) {
  return pool_entry_of(key, entry).ipv6;
}

std::uint32_t idle_word(const control::ListenerEntry& entry) {
  return entry.idle_seconds | (entry.idle_resets ? SLUICE_IDLE_RESETS : 0);
}

void read_idle_word(std::uint32_t word, control::ListenerEntry& entry) {
  entry.idle_seconds = SLUICE_IDLE_SECONDS(word);
  entry.idle_resets = (word & SLUICE_IDLE_RESETS) != 0;
}

control::ListenerEntry from_map(const sluice_listener& listener) {
  control::ListenerEntry entry;
  entry.listener = from_map(listener.id);
  entry.snat_source = ipv4_from_be32(listener.snat_source);
  entry.connection_limit = limit_from_map(listener.connection_limit);
  entry.new_connection_limit = limit_from_map(listener.new_connection_limit);
  entry.resets = (listener.flags & SLUICE_LISTENER_RESETS) != 0;
  entry.per_packet = (listener.flags & SLUICE_LISTENER_PER_PACKET) != 0;
  entry.recorded = (listener.flags & SLUICE_LISTENER_UNRECORDED) == 0;
  entry.syn_authentication = syn_authentication_of(listener.flags);
  entry.connect_tenths = SLUICE_LISTENER_CONNECT(listener.flags);
  entry.other_version = (listener.flags & SLUICE_LISTENER_TO_IPV6) != 0;
  entry.mixed = (listener.flags & SLUICE_LISTENER_MIXED) != 0;
  entry.both_versions = (listener.flags & SLUICE_LISTENER_BOTH_VERSIONS) != 0;
  return entry;
}

sluice_ranges_key ranges_key(const control::ListenerKey& key) {
  return {to_map(key.address),
          static_cast<__u8>(key.address.is_v4() ? 4 : 6),
          ip_protocol(key.protocol),
          {}};
}

sluice_allowed_key to_map(std::uint32_t listener, const IpNetwork& network) {
  sluice_allowed_key key{};
  key.listener = listener;
  const bool v4 = network.address.is_v4();
  key.prefix_bits = SLUICE_ALLOWED_PREFIX_BITS(network.prefix_length + (v4 ? mapped_prefix : 0));
  const auto bytes =
      v4 ? boost::asio::ip::make_address_v6(boost::asio::ip::v4_mapped, network.address.to_v4())
               .to_bytes()
         : network.address.to_v6().to_bytes();
  std::copy(bytes.begin(), bytes.end(), key.address);
  return key;
}

IpNetwork from_map(const sluice_allowed_key& key) {
  boost::asio::ip::address_v6::bytes_type bytes;
  std::copy(std::begin(key.address), std::end(key.address), bytes.begin());
  const boost::asio::ip::address_v6 address(bytes);
  const unsigned bits = key.prefix_bits - SLUICE_ALLOWED_PREFIX_BITS(0);
  if (!address.is_v4_mapped() || bits < mapped_prefix) return {address, bits};
  return {boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address),
          bits - mapped_prefix};
}

sluice_tunnel_source to_map(const IpNetwork& prefix) {
  sluice_tunnel_source source{};
  source.prefix = to_map(prefix.address);
  const unsigned bits = prefix.is_v6() ? 128 : 32;
  std::uint8_t mask[16]{};
  for (unsigned bit = prefix.prefix_length; bit < bits; ++bit)
    mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | 0x80 >> bit % 8);
  std::memcpy(&source.mask, mask, sizeof mask);
  return source;
}

void add(control::Counters& sum, const sluice_counters& one) {
  sum.packets_in += one.packets_in;
  sum.bytes_in += one.bytes_in;
  sum.packets_out += one.packets_out;
  sum.bytes_out += one.bytes_out;
  sum.flows_opened += one.flows_opened;
  sum.flows_ended += one.flows_ended;
  sum.flows_failed += one.flows_failed;
  sum.flows_refused += one.flows_refused;
}

}  // namespace sluice::dataplane
