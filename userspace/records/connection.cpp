#include "records/connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <boost/container_hash/hash.hpp>
#include <cstring>

#include "maps/flow.h"

namespace sluice::records {
namespace {

std::uint8_t protocol_of(std::uint64_t state) {
  switch (SLUICE_STATE_GET(state, PROTOCOL)) {
    case SLUICE_FLOW_UDP:
      return IPPROTO_UDP;
    case SLUICE_FLOW_SCTP:
      return IPPROTO_SCTP;
    default:
      return IPPROTO_TCP;
  }
}

sluice_address ipv4(__be32 address) {
  sluice_address result{};
  result.ipv4 = address;
  return result;
}

}  // namespace

std::optional<Connection> decode(std::span<const std::byte> record) {
  sluice_record head{};
  if (record.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, record.data(), sizeof head);
  if (head.event < SLUICE_RECORD_BEGINS || head.event > SLUICE_RECORD_RESUMES ||
      head.end >= SLUICE_RECORD_END_COUNT)
    return std::nullopt;
  Connection c;
  c.event = static_cast<sluice_record_event>(head.event);
  c.end = static_cast<sluice_record_end>(head.end);
  c.protocol = protocol_of(head.state);
  c.listener_in_bank = SLUICE_STATE_GET(head.state, LISTENER_IN_BANK);
  c.member_index = SLUICE_STATE_GET(head.state, MEMBER);
  c.nanoseconds = head.nanoseconds;
  c.handshake_microseconds = head.handshake_microseconds;
  c.client.port = ntohs(head.client_port);
  c.vip.port = ntohs(head.vip_port);
  c.source.port = ntohs(head.snat_port);
  c.member.port = ntohs(head.member_port);
  if (head.family == 4 && record.size() >= sizeof(sluice_record4)) {
    sluice_record4 r{};
    std::memcpy(&r, record.data(), sizeof r);
    c.client.address = ipv4(r.client);
    c.vip.address = ipv4(r.vip);
    c.source.address = ipv4(r.snat);
    c.member.address = ipv4(r.member);
    return c;
  }
  if (head.family != 6 || record.size() < sizeof(sluice_record6)) return std::nullopt;
  sluice_record6 r{};
  std::memcpy(&r, record.data(), sizeof r);
  c.is_ipv6 = true;
  c.client.address = r.client;
  c.vip.address = r.vip;
  c.source.address = r.snat;
  c.member.address = r.member;
  return c;
}

std::uint64_t tuple_hash(const Connection& connection) {
  std::size_t hash = connection.protocol;
  for (const auto* end : {&connection.client, &connection.vip}) {
    boost::hash_combine(hash, end->address.halves[0]);
    boost::hash_combine(hash, end->address.halves[1]);
    boost::hash_combine(hash, end->port);
  }
  return hash;
}

std::string_view word(sluice_record_event event) {
  switch (event) {
    case SLUICE_RECORD_ENDS:
      return "end";
    case SLUICE_RECORD_RESUMES:
      return "resume";
    default:
      return "begin";
  }
}

std::string_view word(sluice_record_end end) {
  switch (end) {
#define SLUICE_WORD(name, word, sentence) \
  case SLUICE_RECORD_##name:              \
    return word;
    SLUICE_RECORD_ENDS_LIST(SLUICE_WORD)
#undef SLUICE_WORD
    default:
      return "";
  }
}

std::string_view protocol_word(std::uint8_t protocol) {
  return protocol == IPPROTO_UDP ? "UDP" : protocol == IPPROTO_SCTP ? "SCTP" : "TCP";
}

}  // namespace sluice::records
