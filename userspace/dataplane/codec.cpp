#include "dataplane/codec.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace sluice::dataplane {

static_assert(sizeof(Uuid) == SLUICE_ID_BYTES);

sluice_id to_map(const Uuid& id) {
  sluice_id result{};
  std::copy(id.begin(), id.end(), result.bytes);
  return result;
}

Uuid from_map(const sluice_id& id) {
  Uuid result{};
  std::copy(std::begin(id.bytes), std::end(id.bytes), result.begin());
  return result;
}

Result<__be32> to_map(const IpAddress& address) {
  if (!address.is_v4()) {
    return fail(ErrorKind::unsupported, "address " + address.to_string() + " is IPv6",
                "the data plane balances IPv4 only");
  }
  return to_be32(address);
}

sluice_vip to_map(const control::VipEntry& entry) {
  return {to_map(entry.load_balancer), entry.up ? SLUICE_VIP_UP : 0};
}

control::VipEntry from_map(const sluice_vip& vip) {
  return {from_map(vip.load_balancer), (vip.flags & SLUICE_VIP_UP) != 0};
}

Result<sluice_member> to_map(const Uuid& id, const control::MemberEntry& entry) {
  const auto address = to_map(entry.address);
  if (!address) return tl::unexpected(address.error());
  sluice_member member{};
  member.id = to_map(id);
  member.address.ipv4 = *address;
  member.port = htons(entry.port);
  member.flags = entry.usable ? SLUICE_MEMBER_USABLE : 0;
  return member;
}

control::MemberEntry from_map(const sluice_member& member) {
  return {ipv4_from_be32(member.address.ipv4), ntohs(member.port),
          (member.flags & SLUICE_MEMBER_USABLE) != 0};
}

sluice_member removed(sluice_member member) {
  member.flags = SLUICE_MEMBER_REMOVED;
  return member;
}

bool is_removed(const sluice_member& member) {
  return (member.flags & SLUICE_MEMBER_REMOVED) != 0;
}

sluice_pool to_map(const Uuid& id, model::ForwardingMode mode) {
  const auto map_mode = mode == model::ForwardingMode::dnat ? SLUICE_DNAT : SLUICE_FULLNAT;
  return {to_map(id), static_cast<__u32>(map_mode)};
}

model::ForwardingMode forwarding_mode(const sluice_pool& pool) {
  return pool.forwarding_mode == SLUICE_DNAT ? model::ForwardingMode::dnat
                                             : model::ForwardingMode::fullnat;
}

Result<sluice_listener4_key> to_map(const control::ListenerKey& key) {
  const auto address = to_map(key.address);
  if (!address) return tl::unexpected(address.error());
  return sluice_listener4_key{*address, htons(key.port), IPPROTO_TCP, 0};
}

Result<control::ListenerKey> from_map(const sluice_listener4_key& key) {
  if (key.protocol != IPPROTO_TCP) {
    return fail(ErrorKind::internal,
                "map listeners4 holds IP protocol " + std::to_string(key.protocol),
                "it was written by another version of Sluice");
  }
  return control::ListenerKey{ipv4_from_be32(key.address), ntohs(key.port), model::Protocol::tcp};
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
