#include "support/packet.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include <stdexcept>
#include <utility>

namespace sluice::test {
namespace {

constexpr std::uint8_t fragment_header = 44;
constexpr std::uint16_t v4_dont_fragment = 0x4000;

void put8(Bytes& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value));
}
void put16(Bytes& out, unsigned value) {
  put8(out, value >> 8 & 0xff);
  put8(out, value & 0xff);
}
void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
template <typename Range>
void put(Bytes& out, const Range& range) {
  out.insert(out.end(), range.begin(), range.end());
}
void set16(Bytes& out, std::size_t offset, std::uint16_t value) {
  out.at(offset) = static_cast<std::uint8_t>(value >> 8);
  out.at(offset + 1) = static_cast<std::uint8_t>(value & 0xff);
}

Bytes address(const std::string& text) {
  const bool v6 = text.find(':') != std::string::npos;
  Bytes bytes(v6 ? 16 : 4);
  if (inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), bytes.data()) != 1)
    throw std::invalid_argument(text);
  return bytes;
}

// In both directions.
constexpr std::uint32_t sctp_tag = 0x11223344;

Bytes l4_header(const Packet& p) {
  Bytes out;
  if (p.protocol == L4::icmp || p.protocol == L4::icmpv6) {
    put8(out, p.type);
    put8(out, p.code);
    put16(out, 0);
    put32(out, p.rest);
    return out;
  }
  put16(out, p.source_port);
  put16(out, p.destination_port);
  if (p.protocol == L4::udp) {
    put16(out, static_cast<unsigned>(8 + p.data.size()));
    put16(out, 0);
  } else if (p.protocol == L4::sctp) {
    put32(out, p.tag.value_or(p.chunk == 1 ? 0 : sctp_tag));
    put32(out, 0xcafef00d);  // a CRC32c that nobody checks on the way
    put8(out, p.chunk);
    put8(out, 0);
    const unsigned initiate_tag_bytes = p.chunk == 2 ? 4 : 0;
    put16(out, static_cast<unsigned>(4 + initiate_tag_bytes + p.data.size()));
    if (initiate_tag_bytes) put32(out, sctp_tag);
  } else {
    put32(out, p.sequence);
    put32(out, p.acknowledgement);
    put8(out, static_cast<unsigned>((20 + p.options.size()) / 4 << 4));
    put8(out, p.flags);
    put16(out, p.window);
    put16(out, 0);
    put16(out, p.urgent);
    put(out, p.options);
  }
  return out;
}

// The checksum's offset in the L4 header; 0: the data plane doesn't touch it.
std::size_t checksum_offset(L4 protocol) {
  switch (protocol) {
    case L4::tcp:
      return 16;
    case L4::udp:
      return 6;
    case L4::sctp:
      return 0;
    default:
      return 2;
  }
}

std::uint16_t right_checksum(const Packet& p, const Bytes& l4) {
  Bytes summed;
  if (p.protocol != L4::icmp) {
    put(summed, address(p.source));
    put(summed, address(p.destination));
    put32(summed, static_cast<std::uint32_t>(l4.size()));
    put32(summed, static_cast<std::uint8_t>(p.protocol));
  }
  put(summed, l4);
  const auto sum = internet_checksum(summed);
  return sum == 0 && p.protocol == L4::udp ? 0xffff : sum;
}

}  // namespace

Bytes Packet::l4_bytes() const {
  Bytes out = l4_header(*this);
  put(out, data);
  if (const auto offset = checksum_offset(protocol))
    set16(out, offset, checksum ? *checksum : right_checksum(*this, out));
  return out;
}

Bytes Packet::ip_bytes_around(const Bytes& payload, std::uint16_t fragment_field) const {
  Bytes out;
  if (!is_v6()) {
    put8(out, static_cast<unsigned>(0x40 | ((20 + ip_options.size()) / 4)));
    put8(out, tos);
    put16(out, static_cast<unsigned>(20 + ip_options.size() + payload.size()));
    put16(out, id);
    put16(out, fragment_field);
    put8(out, ttl);
    put8(out, static_cast<unsigned>(protocol));
    put16(out, 0);
    put(out, address(source));
    put(out, address(destination));
    put(out, ip_options);
    set16(out, 10, internet_checksum(out));
    put(out, payload);
    return out;
  }
  Bytes chain;
  std::uint8_t first = static_cast<std::uint8_t>(protocol);
  auto all = extensions;
  if (fragment_field != 0) {
    Bytes header{fragment_header, 0};
    put16(header, fragment_field);
    put32(header, id);
    all.push_back(header);
  }
  for (auto one = all.rbegin(); one != all.rend(); ++one) {
    Bytes header = *one;
    const auto type = std::exchange(header[0], first);
    header.insert(header.end(), chain.begin(), chain.end());
    chain = header;
    first = type;
  }
  put32(out, 0x60000000U | static_cast<std::uint32_t>(tos) << 20);
  put16(out, static_cast<unsigned>(chain.size() + payload.size()));
  put8(out, first);
  put8(out, ttl);
  put(out, address(source));
  put(out, address(destination));
  put(out, chain);
  put(out, payload);
  return out;
}

Bytes Packet::framed(const Bytes& ip) const {
  Bytes out;
  put(out, destination_mac);
  put(out, source_mac);
  for (const auto& tag : tags) {
    put16(out, tag.ethertype);
    put16(out, tag.vlan);
  }
  put16(out, is_v6() ? 0x86dd : 0x0800);
  put(out, ip);
  return out;
}

Bytes Packet::ip_bytes() const {
  return ip_bytes_around(l4_bytes(), !is_v6() && dont_fragment ? v4_dont_fragment : 0);
}

Bytes Packet::bytes() const {
  return framed(ip_bytes());
}

Bytes Packet::fragment(std::size_t offset, std::size_t length, bool more) const {
  const auto whole = l4_bytes();
  const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(offset);
  const auto end =
      whole.begin() + static_cast<std::ptrdiff_t>(std::min(offset + length, whole.size()));
  const auto units = static_cast<std::uint16_t>(offset / 8);
  const auto field = static_cast<std::uint16_t>(is_v6() ? units << 3 | (more ? 1 : 0)
                                                        : units | (more ? 0x2000 : 0));
  return framed(ip_bytes_around(Bytes(begin, end), field));
}

Packet icmp_error(const std::string& source, const std::string& destination, std::uint8_t type,
                  std::uint8_t code, std::uint32_t rest, Bytes quoted) {
  Packet p;
  p.source = source;
  p.destination = destination;
  p.protocol = p.is_v6() ? L4::icmpv6 : L4::icmp;
  p.type = type;
  p.code = code;
  p.rest = rest;
  p.data = std::move(quoted);
  return p;
}

Bytes cut(Bytes bytes, std::size_t length) {
  if (bytes.size() > length) bytes.resize(length);
  return bytes;
}

Bytes text(const std::string& text) {
  return {text.begin(), text.end()};
}

}  // namespace sluice::test
