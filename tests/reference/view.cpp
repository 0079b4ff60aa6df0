#include "reference/view.hpp"

#include <arpa/inet.h>

#include <stdexcept>

namespace sluice::test::reference {
namespace {

constexpr std::size_t most_tags = 2, most_extensions = 6;
constexpr std::uint8_t tcp = 6, udp = 17, sctp = 132;

std::uint32_t sum_of(const Bytes& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2)
    sum += static_cast<std::uint32_t>(bytes[i] << 8) + (i + 1 < bytes.size() ? bytes[i + 1] : 0U);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

// Says whether a fragment overlaps the first one's header (RFC 3128) or ends beyond the longest IP
// packet.
bool is_bad_fragment(std::uint8_t protocol, std::size_t offset, std::size_t end) {
  const std::size_t header_bytes = protocol == tcp ? 20 : protocol == sctp ? 16 : 0;
  return (offset > 0 && offset < header_bytes) || end > 65535;
}

// The defect of IPv4 options (RFC 791, 3.1); empty: none that we check.
std::string defect_of_options(const Bytes& options) {
  for (std::size_t at = 0; at < options.size();) {
    const auto type = options[at];
    if (type == 0) break;
    if (type == 1) {
      ++at;
      continue;
    }
    const std::size_t length = at + 1 < options.size() ? options[at + 1] : 0;
    if (length < 2 || at + length > options.size()) return "malformed_ipv4";
    if (type == 131 || type == 137) {  // loose and strict source route
      if (length < 3) return "malformed_ipv4";
      if (options[at + 2] <= length) return "source_routed";
    }
    at += length;
  }
  return "";
}

void look_at_ipv4(View& v, const Bytes& frame) {
  const std::size_t header_bytes = (frame[v.l3] & 15U) * 4U;
  v.l3_bytes = read16(frame, v.l3 + 2);
  v.ttl = frame[v.l3 + 8];
  v.protocol = frame[v.l3 + 9];
  v.l4 = v.l3 + header_bytes;
  if (frame[v.l3] >> 4 != 4 || header_bytes < 20 || v.l3_bytes < header_bytes ||
      v.l3 + v.l3_bytes > frame.size()) {
    v.defect = "malformed_ipv4";
    return;
  }
  v.l4_bytes = v.l3_bytes - header_bytes;
  const auto field = read16(frame, v.l3 + 6);
  v.fragment = field & 0x1fff ? Fragment::later : field & 0x2000 ? Fragment::first : Fragment::none;
  v.id = read16(frame, v.l3 + 4);
  v.header_sum_right = internet_checksum(piece(frame, v.l3, header_bytes)) == 0;
  v.defect = defect_of_options(piece(frame, v.l3 + 20, header_bytes - 20));
  const std::size_t offset = (field & 0x1fffU) * 8U;
  if (v.defect.empty() && v.fragment != Fragment::none &&
      is_bad_fragment(v.protocol, offset, offset + v.l3_bytes))
    v.defect = "bad_fragment";
}

void look_at_ipv6(View& v, const Bytes& frame) {
  v.l3_bytes = 40U + read16(frame, v.l3 + 4);
  v.ttl = frame[v.l3 + 7];
  v.protocol = frame[v.l3 + 6];
  v.l4 = v.l3 + 40;
  if (frame[v.l3] >> 4 != 6 || v.l3 + v.l3_bytes > frame.size()) {
    v.defect = "malformed_ipv6";
    return;
  }
  const auto chain = walk_chain(frame, v.l4, v.protocol, v.l3 + v.l3_bytes);
  v.defect = chain.defect;
  v.protocol = chain.protocol;
  v.fragment = chain.fragment;
  v.id = chain.id;
  v.fragment_header = chain.fragment_header;
  v.l4 = chain.end;
  if (v.l4 > v.l3 + v.l3_bytes) {
    if (v.defect.empty()) v.defect = "malformed_ipv6";
    return;
  }
  v.l4_bytes = v.l3 + v.l3_bytes - v.l4;
  if (v.defect.empty() && v.fragment != Fragment::none &&
      is_bad_fragment(v.protocol, chain.offset, chain.offset + v.l4_bytes))
    v.defect = "bad_fragment";
}

std::uint32_t read32(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint32_t>(read16(bytes, at)) << 16 | read16(bytes, at + 2);
}

void look_at_tcp(View& v, const Bytes& frame) {
  const std::size_t header_bytes = (frame[v.l4 + 12] >> 4) * 4U;
  const auto flags = frame[v.l4 + 13];
  const bool syn = flags & SYN, fin = flags & FIN, rst = flags & RST, ack = flags & ACK;
  if (header_bytes < 20 || header_bytes > v.l4_bytes) v.defect = "malformed_tcp";
  v.opens = syn && !ack && !rst && !fin;
  v.accepts = syn && ack && !rst && !fin;
  v.confirms = ack;
  v.ends = fin;
  v.aborts = rst;
  v.data = header_bytes < v.l4_bytes;
  v.sequence = read32(frame, v.l4 + 4);
  if (v.fragment == Fragment::none && !v.aborts)
    v.told =
        v.sequence +
        (v.accepts ? 1U : static_cast<std::uint32_t>(v.l4_bytes - header_bytes) + (fin ? 1U : 0U));
  v.shown = read32(frame, v.l4 + 8);
}

void look_at_udp(View& v, const Bytes& frame) {
  const auto length = read16(frame, v.l4 + 4);
  // The UDP length of a first fragment is that of the whole datagram.
  if (length < 8 || (v.fragment == Fragment::none && length > v.l4_bytes))
    v.defect = "malformed_udp";
  v.accepts = v.confirms = true;
}

void look_at_sctp(View& v, const Bytes& frame) {
  const auto chunk = frame[v.l4 + 12];
  const bool has_tag = read16(frame, v.l4 + 4) || read16(frame, v.l4 + 6);
  if (has_tag == (chunk == 1)) v.defect = "sctp_tag";  // RFC 9260, 8.5.1
  v.opens = chunk == 1;                                // INIT
  v.accepts = chunk == 2;                              // INIT ACK
  v.aborts = chunk == 6 || chunk == 14;                // ABORT, SHUTDOWN COMPLETE
  v.ends = chunk == 7;                                 // SHUTDOWN
  v.confirms = !v.opens && !v.accepts && !v.aborts;
  v.data = chunk == 0 || chunk == 64;  // DATA, I-DATA
  if (v.fragment == Fragment::none && v.accepts && v.l4_bytes >= 20)
    v.told = read32(frame, v.l4 + 16);
  v.shown = read32(frame, v.l4 + 4);
}

void look_at_l4(View& v, const Bytes& frame) {
  struct Kind {
    std::uint8_t protocol;
    std::size_t header_bytes;
    const char* defect;
    void (*look)(View&, const Bytes&);
  };
  static const Kind kinds[] = {{tcp, 20, "malformed_tcp", look_at_tcp},
                               {udp, 8, "malformed_udp", look_at_udp},
                               {sctp, 16, "malformed_sctp", look_at_sctp}};
  for (const auto& kind : kinds) {
    if (v.protocol != kind.protocol) continue;
    if (v.l4_bytes < kind.header_bytes) {
      v.defect = kind.defect;
      return;
    }
    v.has_ports = true;
    v.source_port = read16(frame, v.l4);
    v.destination_port = read16(frame, v.l4 + 2);
    kind.look(v, frame);
  }
  if (v.is_icmp() && v.fragment == Fragment::none && v.l4_bytes < 8) v.defect = "malformed_icmp";
}

}  // namespace

Address address_of(const std::string& text) {
  const bool v6 = text.find(':') != std::string::npos;
  Address address(v6 ? 16 : 4);
  if (inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), address.data()) != 1)
    throw std::invalid_argument(text);
  return address;
}

std::string text_of(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
  return text;
}

std::uint16_t read16(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}
void write16(Bytes& bytes, std::size_t at, std::uint32_t value) {
  replace(bytes, at, be16(value));
}
void replace(Bytes& bytes, std::size_t at, const Bytes& with) {
  for (std::size_t i = 0; i < with.size(); ++i) bytes.at(at + i) = with[i];
}
Bytes piece(const Bytes& bytes, std::size_t at, std::size_t length) {
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  return {begin, begin + static_cast<std::ptrdiff_t>(length)};
}
Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}
Bytes be16(std::uint32_t value) {
  return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}
Bytes be32(std::uint32_t value) {
  return be16(value >> 16) + be16(value);
}

std::uint16_t adjusted(std::uint16_t checksum, const Bytes& before, const Bytes& after) {
  const std::uint32_t sum = (0xffffU - checksum) + (0xffffU - sum_of(before)) + sum_of(after);
  std::uint32_t folded = (sum & 0xffff) + (sum >> 16);
  folded = (folded & 0xffff) + (folded >> 16);
  return static_cast<std::uint16_t>(~folded);
}

Chain walk_chain(const Bytes& frame, std::size_t at, std::uint8_t first, std::size_t packet_end) {
  constexpr std::uint8_t hop_by_hop = 0, routing = 43, fragment = 44, options = 60;
  Chain chain{at, first, Fragment::none, 0, 0, 0, ""};
  for (std::size_t i = 0; chain.fragment != Fragment::later; ++i) {
    const auto type = chain.protocol;
    if (type != hop_by_hop && type != routing && type != fragment && type != options) {
      constexpr std::size_t l4_header = 20;  // the longest that is looked at
      if (chain.end > packet_end) {
        chain.defect = "malformed_ipv6";
      } else if (chain.end + l4_header > headers_end) {
        chain.defect = "headers_too_long";
      }
      break;
    }
    if (i == most_extensions) {
      chain.defect = "unsupported_protocol";
      break;
    }
    if (chain.end + 8 > packet_end || chain.end + 8 > headers_end) {
      chain.defect = chain.end + 8 > packet_end ? "malformed_ipv6" : "headers_too_long";
      break;
    }
    if (type == hop_by_hop && i > 0) {
      chain.defect = "misplaced_header";
      break;
    }
    if (type == routing && frame[chain.end + 3] != 0) {  // segments left
      chain.defect = "source_routed";
      break;
    }
    std::size_t length = 8;
    if (type == fragment) {
      const auto field = read16(frame, chain.end + 2);
      if (field & 0xfff8) {
        chain.fragment = Fragment::later;
      } else if (field & 1) {
        chain.fragment = Fragment::first;
      }
      chain.offset = field & 0xfff8;
      chain.fragment_header = chain.end;
      chain.id = static_cast<std::uint32_t>(read16(frame, chain.end + 4)) << 16 |
                 read16(frame, chain.end + 6);
    } else {
      length += frame[chain.end + 1] * 8U;
    }
    chain.protocol = frame[chain.end];
    chain.end += length;
  }
  return chain;
}

View look_at(const Bytes& frame) {
  View v;
  std::size_t at = 12;
  for (std::size_t tags = 0; tags < most_tags; ++tags) {
    const auto type = read16(frame, at);
    if ((type != 0x8100 && type != 0x88a8) || at + 6 > frame.size()) break;
    at += 4;
  }
  v.ethertype = read16(frame, at);
  v.l3 = at + 2;
  v.family = v.ethertype == 0x0800 ? 4 : v.ethertype == 0x86dd ? 6 : 0;
  v.ip = v.family && v.l3 + v.ip_header_bytes() <= frame.size();
  if (!v.ip) return v;
  const std::size_t bytes = v.family == 4 ? 4 : 16;
  v.source = piece(frame, v.addresses_at(), bytes);
  v.destination = piece(frame, v.addresses_at() + bytes, bytes);
  if (v.family == 4) {
    look_at_ipv4(v, frame);
  } else {
    look_at_ipv6(v, frame);
  }
  if (v.defect.empty() && v.fragment != Fragment::later) look_at_l4(v, frame);
  return v;
}

}  // namespace sluice::test::reference
