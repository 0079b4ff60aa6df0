#include "records/ipfix.hpp"

#include <algorithm>
#include <array>

namespace sluice::records {
namespace {

constexpr std::uint16_t version = 10;      // RFC 7011, 3.1
constexpr std::uint16_t template_set = 2;  // 3.3.2
constexpr std::size_t header_bytes = 16;
constexpr std::size_t set_header_bytes = 4;

// Information elements of IANA's registry ("IPFIX Information Elements").
enum Element : std::uint16_t {
  protocolIdentifier = 4,
  sourceTransportPort = 7,
  sourceIPv4Address = 8,
  destinationTransportPort = 11,
  destinationIPv4Address = 12,
  sourceIPv6Address = 27,
  destinationIPv6Address = 28,
  flowEndReason = 136,
  flowStartMilliseconds = 152,
  flowEndMilliseconds = 153,
  postNATSourceIPv4Address = 225,
  postNATDestinationIPv4Address = 226,
  postNAPTSourceTransportPort = 227,
  postNAPTDestinationTransportPort = 228,
  natEvent = 230,
  postNATSourceIPv6Address = 281,
  postNATDestinationIPv6Address = 282,
  observationTimeMilliseconds = 323,
};

struct Field {
  std::uint16_t element;
  std::uint16_t bytes;
};

// Numbers of the templates: the lowest one, and what its bits mean. They may not change, because a
// collector keeps them for a while.
constexpr std::uint16_t first_template = 256;
enum TemplateBit : std::uint16_t {
  of_ipv6 = 1,
  of_end = 2,    // how it ended
  of_times = 4,  // when it began and ended
};
constexpr std::array<std::uint16_t, 6> templates_in_use = {
    0, of_ipv6, of_end, of_end | of_ipv6, of_end | of_times, of_end | of_times | of_ipv6};

std::vector<Field> fields_of(std::uint16_t bits) {
  const bool v6 = bits & of_ipv6;
  const std::uint16_t address = v6 ? 16 : 4;
  // RFC 8158, 5.6.1 (NAT44 session), in the order in which put_record() writes them.
  std::vector<Field> fields{
      {observationTimeMilliseconds, 8},
      {natEvent, 1},
      {protocolIdentifier, 1},
      {sourceTransportPort, 2},
      {destinationTransportPort, 2},
      {postNAPTSourceTransportPort, 2},
      {postNAPTDestinationTransportPort, 2},
      {v6 ? sourceIPv6Address : sourceIPv4Address, address},
      {v6 ? destinationIPv6Address : destinationIPv4Address, address},
      {v6 ? postNATSourceIPv6Address : postNATSourceIPv4Address, address},
      {v6 ? postNATDestinationIPv6Address : postNATDestinationIPv4Address, address}};
  if (bits & of_end) fields.push_back({flowEndReason, 1});
  if (bits & of_times) {
    fields.push_back({flowStartMilliseconds, 8});
    fields.push_back({flowEndMilliseconds, 8});
  }
  return fields;
}

std::size_t record_bytes(std::uint16_t bits) {
  return 8 + 2 + 8 + 4 * (bits & of_ipv6 ? 16 : 4) + (bits & of_end ? 1 : 0) +
         (bits & of_times ? 16 : 0);
}

// Numbers are in network byte order (RFC 7011, 6.1).
template <typename Number>
void put(Bytes& to, Number number) {
  for (std::size_t shift = sizeof number * 8; shift != 0; shift -= 8)
    to.push_back(static_cast<std::uint8_t>(number >> (shift - 8)));
}

void put_at(Bytes& to, std::size_t at, std::uint16_t number) {
  to[at] = static_cast<std::uint8_t>(number >> 8);
  to[at + 1] = static_cast<std::uint8_t>(number);
}

void put_address(Bytes& to, const sluice_address& address, bool is_ipv6) {
  to.insert(to.end(), address.ipv6, address.ipv6 + (is_ipv6 ? 16 : 4));
}

// RFC 8158, 4.4: NAT44 session create and delete. IPv6 toward IPv6 has no events of its own; 1 and
// 2 are the translation that is created and deleted, whatever its IP version.
std::uint8_t nat_event(const Connection& c) {
  const bool ends = c.event == SLUICE_RECORD_ENDS;
  if (c.is_ipv6) return ends ? 2 : 1;
  return ends ? 5 : 4;
}

// RFC 5102, 5.11.3.
std::uint8_t end_reason(sluice_record_end end) {
  switch (end) {
    case SLUICE_RECORD_IDLE:
      return 1;  // idle timeout
    case SLUICE_RECORD_FINISHED:
    case SLUICE_RECORD_CLIENT_RESET:
    case SLUICE_RECORD_MEMBER_RESET:
    case SLUICE_RECORD_REPLACED:
      return 3;  // end of flow detected
    case SLUICE_RECORD_EVICTED:
      return 5;  // lack of resources
    default:
      return 4;  // forced end
  }
}

std::uint16_t template_bits(const Connection& c) {
  unsigned bits = 0;
  if (c.is_ipv6) bits |= of_ipv6;
  if (c.event == SLUICE_RECORD_ENDS) bits |= of_end;
  if (c.began_nanoseconds) bits |= of_times;
  return static_cast<std::uint16_t>(bits);
}

std::uint64_t milliseconds(std::uint64_t nanoseconds, std::int64_t wall_offset) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(nanoseconds) + wall_offset) /
         1'000'000;
}

void put_record(Bytes& to, const Connection& c, std::int64_t wall_offset) {
  put(to, milliseconds(c.nanoseconds, wall_offset));
  to.push_back(nat_event(c));
  to.push_back(c.protocol);
  put(to, c.client.port);
  put(to, c.vip.port);
  put(to, c.source.port);
  put(to, c.member.port);
  for (const auto* end : {&c.client, &c.vip, &c.source, &c.member})
    put_address(to, end->address, c.is_ipv6);
  if (c.event == SLUICE_RECORD_ENDS) to.push_back(end_reason(c.end));
  if (!c.began_nanoseconds) return;
  put(to, milliseconds(*c.began_nanoseconds, wall_offset));
  put(to, milliseconds(c.nanoseconds, wall_offset));
}

// RFC 7011, 3.1. The length is filled in at the end.
void begin_message(Bytes& message) {
  message.assign(header_bytes, 0);
  put_at(message, 0, version);
}

void end_message(Bytes& message, std::int64_t wall_nanoseconds, std::uint32_t sequence,
                 std::uint32_t domain) {
  Bytes rest;
  put(rest, static_cast<std::uint32_t>(wall_nanoseconds / 1'000'000'000));
  put(rest, sequence);
  put(rest, domain);
  put_at(message, 2, static_cast<std::uint16_t>(message.size()));
  std::copy(rest.begin(), rest.end(), message.begin() + 4);
}

}  // namespace

void IpfixMessages::open_set(std::uint16_t id) {
  set_ = message_.size();
  set_id_ = id;
  put(message_, id);
  put(message_, std::uint16_t{0});
}

void IpfixMessages::close_set() {
  if (set_ == 0) return;
  put_at(message_, set_ + 2, static_cast<std::uint16_t>(message_.size() - set_));
  set_ = 0;
}

void IpfixMessages::add(const Connection& connection, std::int64_t wall_offset, const Send& send) {
  const auto bits = template_bits(connection);
  const auto id = static_cast<std::uint16_t>(first_template + bits);
  if (message_.size() + set_header_bytes + record_bytes(bits) > max_bytes)
    finish(static_cast<std::int64_t>(connection.nanoseconds) + wall_offset, send);
  if (message_.empty()) begin_message(message_);
  if (set_ == 0 || set_id_ != id) {
    close_set();
    open_set(id);
  }
  put_record(message_, connection, wall_offset);
  ++records_;
}

void IpfixMessages::finish(std::int64_t wall_nanoseconds, const Send& send) {
  if (message_.empty()) return;
  close_set();
  end_message(message_, wall_nanoseconds, sequence_, domain_);
  send(message_);
  sequence_ += records_;
  records_ = 0;
  message_.clear();
}

Bytes IpfixMessages::templates(std::int64_t wall_nanoseconds) const {
  Bytes message;
  begin_message(message);
  put(message, template_set);
  put(message, std::uint16_t{0});
  for (const auto bits : templates_in_use) {
    const auto fields = fields_of(bits);
    put(message, static_cast<std::uint16_t>(first_template + bits));
    put(message, static_cast<std::uint16_t>(fields.size()));
    for (const auto& field : fields) {
      put(message, field.element);
      put(message, field.bytes);
    }
  }
  put_at(message, header_bytes + 2, static_cast<std::uint16_t>(message.size() - header_bytes));
  end_message(message, wall_nanoseconds, sequence_, domain_);
  return message;
}

}  // namespace sluice::records
