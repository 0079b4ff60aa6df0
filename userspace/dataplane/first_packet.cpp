#include "dataplane/first_packet.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <cstring>

#include "dataplane/codec.hpp"
#include "maps/tunnel.h"

namespace sluice::dataplane {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t hops = 64;
constexpr std::size_t sctp_bytes = 12 + 20;  // common header, INIT chunk

template <typename Header>
void append(Bytes& frame, const Header& header) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&header);
  frame.insert(frame.end(), bytes, bytes + sizeof header);
}

Bytes l4_header(const control::Question& q) {
  const auto source = htons(q.from.port), destination = htons(q.to.port);
  Bytes header;
  switch (q.protocol) {
    case model::Protocol::udp:
      append(header, udphdr{{{source, destination, htons(sizeof(udphdr)), 0}}});
      break;
    case model::Protocol::sctp: {
      header.resize(sctp_bytes);
      std::memcpy(header.data(), &source, sizeof source);
      std::memcpy(header.data() + 2, &destination, sizeof destination);
      header[12] = 1;  // INIT
      header[15] = 20;
      break;
    }
    default: {
      tcphdr tcp{};
      tcp.source = source;
      tcp.dest = destination;
      tcp.doff = sizeof tcp / 4;
      tcp.syn = 1;
      append(header, tcp);
    }
  }
  return header;
}

std::uint8_t number_of(model::Protocol protocol) {
  if (protocol == model::Protocol::udp) return IPPROTO_UDP;
  return protocol == model::Protocol::sctp ? IPPROTO_SCTP : IPPROTO_TCP;
}

// Computes the header's checksum (RFC 791, 3.1).
std::uint16_t header_checksum(const iphdr& ip) {
  std::uint16_t words[sizeof ip / 2];
  std::memcpy(words, &ip, sizeof ip);
  std::uint32_t sum = 0;
  for (const auto one : words) sum += one;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::uint16_t word(const Bytes& frame, std::size_t at) {
  return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]);
}

}  // namespace

Bytes first_packet(const control::Question& q, const std::uint8_t (&mac)[6]) {
  const auto l4 = l4_header(q);
  const auto source = to_map(q.from.address), destination = to_map(q.to.address);
  const bool v4 = q.to.address.is_v4();
  Bytes frame(mac, mac + sizeof mac);
  const std::uint8_t sender[] = {2, 0, 0, 0, 0, 1};
  frame.insert(frame.end(), sender, sender + sizeof sender);
  append(frame, htons(v4 ? ETH_P_IP : ETH_P_IPV6));
  if (v4) {
    iphdr ip{};
    ip.version = 4;
    ip.ihl = sizeof ip / 4;
    ip.tot_len = htons(static_cast<std::uint16_t>(sizeof ip + l4.size()));
    ip.ttl = hops;
    ip.protocol = number_of(q.protocol);
    ip.saddr = source.ipv4;
    ip.daddr = destination.ipv4;
    ip.check = header_checksum(ip);
    append(frame, ip);
  } else {
    ipv6hdr ip{};
    ip.version = 6;
    ip.payload_len = htons(static_cast<std::uint16_t>(l4.size()));
    ip.nexthdr = number_of(q.protocol);
    ip.hop_limit = hops;
    std::memcpy(&ip.saddr, &source, sizeof ip.saddr);
    std::memcpy(&ip.daddr, &destination, sizeof ip.daddr);
    append(frame, ip);
  }
  frame.insert(frame.end(), l4.begin(), l4.end());
  return frame;
}

std::optional<Addressed> addressed(const Bytes& frame) {
  std::size_t at = 2 * ETH_ALEN;
  const auto holds = [&](std::size_t bytes) { return at + bytes <= frame.size(); };
  while (holds(4) && (word(frame, at) == ETH_P_8021Q || word(frame, at) == ETH_P_8021AD)) at += 4;
  if (!holds(2)) return std::nullopt;
  const bool v4 = word(frame, at) == ETH_P_IP;
  if (!v4 && word(frame, at) != ETH_P_IPV6) return std::nullopt;
  at += 2;
  const std::size_t header = v4 ? sizeof(iphdr) : sizeof(ipv6hdr), address = v4 ? 4 : 16;
  if (!holds(header)) return std::nullopt;
  const auto protocol = frame[at + (v4 ? 9 : 6)];
  if (protocol == (v4 ? IPPROTO_IPIP : IPPROTO_IPV6)) {
    at += header;
  } else if (protocol == IPPROTO_UDP && holds(header + 4) &&
             word(frame, at + header + 2) == SLUICE_GUE_PORT) {
    at += header + sizeof(udphdr);
  }
  if (!holds(header + 4)) return std::nullopt;
  const std::size_t source_at = at + (v4 ? 12 : 8), ports_at = at + header;
  sluice_address source{}, destination{};
  std::memcpy(&source, frame.data() + source_at, address);
  std::memcpy(&destination, frame.data() + source_at + address, address);
  return Addressed{{from_map(source, !v4), word(frame, ports_at)},
                   {from_map(destination, !v4), word(frame, ports_at + 2)}};
}

}  // namespace sluice::dataplane
