#include "reference/other_version.hpp"

#include <algorithm>

namespace sluice::test::reference {
namespace {

constexpr std::uint8_t icmp4 = 1, udp = 17, icmp6 = 58, fragment_header = 44;
constexpr std::size_t longest_summed_datagram = 1536;
constexpr std::uint32_t smallest_ipv6_mtu = 1280, ipv6_is_longer = 20;

// Type, code and the word behind the checksum of an ICMP error.
struct Error {
  std::uint8_t type, code;
  std::uint32_t rest;
};

// RFC 7915, 4.2. IPv6 has no message for the others, or nobody sends them.
std::optional<Error> error_to_ipv6(const Error& e) {
  if (e.type == 11) return Error{3, e.code, 0};
  if (e.type != 3) return {};
  switch (e.code) {
    case 2:  // the protocol, which the next header field at byte 6 is about
      return Error{4, 1, 6};
    case 3:
      return Error{1, 4, 0};
    case 4:
      return Error{2, 0, std::max((e.rest & 0xffff) + ipv6_is_longer, smallest_ipv6_mtu)};
    case 9:
    case 10:
    case 13:
    case 15:
      return Error{1, 1, 0};
    case 14:
      return {};
    default:
      if (e.code > 15) return {};
      return Error{1, 0, 0};
  }
}

// RFC 7915, 5.2.
std::optional<Error> error_to_ipv4(const Error& e, bool quotes_fragment) {
  const std::uint32_t longer = ipv6_is_longer + (quotes_fragment ? 8 : 0);
  static const std::uint8_t unreachable[] = {1, 10, 1, 1, 3};
  switch (e.type) {
    case 1:
      if (e.code >= std::size(unreachable)) return {};
      return Error{3, unreachable[e.code], 0};
    case 2:
      return Error{3, 4, std::min(e.rest - longer, 0xffffU)};
    case 3:
      return Error{11, e.code, 0};
    case 4:
      if (e.code != 1) return {};
      return Error{3, 2, 0};
    default:
      return {};
  }
}

Error error_at(const Bytes& frame, std::size_t at) {
  return {frame[at], frame[at + 1],
          static_cast<std::uint32_t>(read16(frame, at + 4)) << 16 | read16(frame, at + 6)};
}

Bytes without_checksum(const Error& e) {
  return Bytes{e.type, e.code, 0, 0} + be32(e.rest);
}

// A packet's header as both versions have it.
struct Header {
  std::uint8_t traffic_class, hops, protocol;
  std::size_t payload;
  Address source, destination;
  bool is_fragment;
  std::uint16_t field;  // as in IPv6: the fragment's offset in bytes, and whether more follow
  std::uint32_t id;
};

Bytes ipv6_header(const Header& h) {
  const auto fragment_bytes = h.is_fragment ? 8U : 0U;
  Bytes header = be32(0x60000000U | static_cast<std::uint32_t>(h.traffic_class) << 20) +
                 be16(static_cast<std::uint32_t>(h.payload) + fragment_bytes) +
                 Bytes{h.is_fragment ? fragment_header : h.protocol, h.hops} + h.source +
                 h.destination;
  if (h.is_fragment) header = header + Bytes{h.protocol, 0} + be16(h.field) + be32(h.id);
  return header;
}

// `field`: "don't fragment" or not, if it is no fragment.
Bytes ipv4_header(const Header& h, std::uint32_t id, std::uint32_t field) {
  if (h.is_fragment) {
    id = h.id & 0xffff;
    field = h.field / 8U | (h.field & 1U ? 0x2000U : 0);
  }
  Bytes header = Bytes{0x45, h.traffic_class} + be16(static_cast<std::uint32_t>(h.payload) + 20) +
                 be16(id) + be16(field) + Bytes{h.hops, h.protocol, 0, 0} + h.source +
                 h.destination;
  write16(header, 10, internet_checksum(header));
  return header;
}

// The IPv4 header at `at`, as IPv6 has it; its options are left out.
Header header_of_ipv4(const Bytes& frame, std::size_t at) {
  const auto bits = read16(frame, at + 6);
  return {frame[at + 1],
          frame[at + 8],
          frame[at + 9],
          static_cast<std::size_t>(read16(frame, at + 2) - (frame[at] & 15) * 4),
          mapped(piece(frame, at + 12, 4)),
          mapped(piece(frame, at + 16, 4)),
          (bits & 0x3fff) != 0,
          static_cast<std::uint16_t>((bits & 0x1fff) * 8 | (bits & 0x2000 ? 1 : 0)),
          read16(frame, at + 4)};
}

// The IPv6 header at `at`, as IPv4 has it, without extension headers; with the fragment header at
// `fragment`, unless that is 0.
Header header_of_ipv6(const Bytes& frame, std::size_t at, std::size_t fragment) {
  Header h{static_cast<std::uint8_t>(read16(frame, at) >> 4),
           frame[at + 7],
           frame[at + 6],
           read16(frame, at + 4),
           unmapped(piece(frame, at + 8, 16)),
           unmapped(piece(frame, at + 24, 16)),
           fragment != 0,
           0,
           0};
  if (!fragment) return h;
  h.payload -= 8;
  h.protocol = frame[fragment];
  h.field = read16(frame, fragment + 2);
  h.id =
      static_cast<std::uint32_t>(read16(frame, fragment + 4)) << 16 | read16(frame, fragment + 6);
  return h;
}

Bytes pseudo_header(const Header& h) {
  return h.source + h.destination + be32(static_cast<std::uint32_t>(h.payload)) + be32(icmp6);
}

// The frame with another IP header and message behind the Ethernet header.
Bytes with_packet(const Bytes& frame, const View& v, std::uint32_t ethertype, const Bytes& packet,
                  std::size_t rest) {
  return piece(frame, 0, v.l3 - 2) + be16(ethertype) + packet +
         piece(frame, rest, frame.size() - rest);
}

// The message's checksum is as right or wrong as before; in IPv6 it covers a pseudo header, too.
std::optional<Bytes> message_to_ipv6(const Bytes& frame, const View& v, Header h) {
  const auto quoted = v.l4 + 8;
  const auto was = error_at(frame, v.l4);
  const auto error = error_to_ipv6(was);
  if (!error || (frame[quoted] & 15) != 5) return {};
  const auto quote = ipv6_header(header_of_ipv4(frame, quoted));
  h.protocol = icmp6;
  h.payload += quote.size() - 20;
  auto message = without_checksum(*error) + quote;
  write16(message, 2,
          adjusted(read16(frame, v.l4 + 2), without_checksum(was) + piece(frame, quoted, 20),
                   message + pseudo_header(h)));
  return with_packet(frame, v, 0x86dd, ipv6_header(h) + message, quoted + 20);
}

std::optional<Bytes> message_to_ipv4(const Bytes& frame, const View& v, Header h,
                                     std::uint16_t id) {
  const auto quoted = v.l4 + 8;
  const bool is_fragment = frame[quoted + 6] == fragment_header;
  const auto was = error_at(frame, v.l4);
  const auto error = error_to_ipv4(was, is_fragment);
  const auto quote = header_of_ipv6(frame, quoted, is_fragment ? quoted + 40 : 0);
  if (!error || (quote.protocol != 6 && quote.protocol != 17 && quote.protocol != 132)) return {};
  const std::size_t old_bytes = is_fragment ? 48 : 40;
  auto before = h;
  before.source = piece(frame, v.l3 + 8, 16);
  before.destination = piece(frame, v.l3 + 24, 16);
  h.payload -= old_bytes - 20;
  h.protocol = icmp4;
  auto message = without_checksum(*error) + ipv4_header(quote, 0, 0x4000);
  write16(message, 2,
          adjusted(read16(frame, v.l4 + 2),
                   without_checksum(was) + piece(frame, quoted, old_bytes) + pseudo_header(before),
                   message));
  const bool is_long = h.payload + 20 > 1260;
  return with_packet(frame, v, 0x0800,
                     ipv4_header(h, is_long ? 0 : id, is_long ? 0x4000 : 0) + message,
                     quoted + old_bytes);
}

// Gives the datagram a checksum (RFC 7915, 4.5). False: it is too long, or not all here.
bool complete(Bytes& frame, const View& v) {
  if (v.protocol != udp || v.fragment == Fragment::later || read16(frame, v.l4 + 6)) return true;
  const auto bytes = read16(frame, v.l4 + 4);
  if (v.fragment == Fragment::first || bytes > longest_summed_datagram) return false;
  const auto sum = internet_checksum(v.source + v.destination + be32(bytes) + be32(udp) +
                                     piece(frame, v.l4, bytes));
  write16(frame, v.l4 + 6, sum ? sum : 0xffff);
  return true;
}

}  // namespace

Address mapped(const Address& ipv4) {
  return Address(10, 0) + Address{0xff, 0xff} + ipv4;
}

bool is_mapped(const Address& address) {
  return address.size() == 16 && piece(address, 0, 12) == piece(mapped(Address(4)), 0, 12);
}

Address unmapped(const Address& address) {
  return is_mapped(address) ? piece(address, 12, 4) : address;
}

std::optional<Bytes> to_ipv6(const Bytes& frame, const View& v) {
  const auto header = header_of_ipv4(frame, v.l3);
  if (v.is_icmp()) return message_to_ipv6(frame, v, header);
  auto complete_frame = frame;
  if (!complete(complete_frame, v)) return {};
  return with_packet(complete_frame, v, 0x86dd, ipv6_header(header), v.l4);
}

std::optional<Bytes> to_ipv4(const Bytes& frame, const View& v, std::uint16_t id) {
  auto header = header_of_ipv6(frame, v.l3, 0);
  header.payload = v.l4_bytes;
  header.protocol = v.protocol;
  if (v.is_icmp()) return message_to_ipv4(frame, v, header, id);
  if (v.fragment != Fragment::none) {
    // Headers behind the fragment header are part of what was fragmented, and can't be left out.
    if (v.fragment_header != v.l4 - 8) return {};
    const auto fragment = header_of_ipv6(frame, v.l3, v.fragment_header);
    header.is_fragment = true;
    header.field = fragment.field;
    header.id = fragment.id;
  }
  const bool is_long = header.payload + 20 > 1260;
  return with_packet(frame, v, 0x0800, ipv4_header(header, is_long ? 0 : id, is_long ? 0x4000 : 0),
                     v.l4);
}

}  // namespace sluice::test::reference
