#include "network/discovery_frame.hpp"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::network {
namespace {

using Bytes = boost::asio::ip::address_v6::bytes_type;

constexpr std::uint8_t hop_limit = 255;  // proves that no router was in between

// A solicitation and an advertisement differ in their type and their flags only.
struct Message {
  nd_neighbor_advert head;
  std::uint8_t option_type, option_length;  // length in 8 bytes
  std::uint8_t mac[6];
};

struct Frame {
  ether_header ethernet;
  ip6_hdr ip;
  Message message;
} __attribute__((packed));
static_assert(sizeof(Frame) == sizeof(DiscoveryFrame));

// The checksum over the pseudo header and the message (RFC 8200, 8.1).
std::uint16_t checksum(const Frame& frame) {
  const auto bytes = std::bit_cast<DiscoveryFrame>(frame);
  std::uint32_t sum = sizeof(Message) + IPPROTO_ICMPV6;
  constexpr std::size_t addresses = sizeof(ether_header) + 8;
  for (std::size_t i = addresses; i < bytes.size(); i += 2) {
    sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

struct Destination {
  MacAddress mac;
  Bytes ip;
};

Destination all_nodes() {
  return {{0x33, 0x33, 0, 0, 0, 1}, {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
}

// The solicited-node multicast group of the address (RFC 4291, 2.7.1).
Destination solicited_nodes(const Bytes& target) {
  Destination group{{0x33, 0x33, 0xff, 0, 0, 0},
                    {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0}};
  std::copy(target.end() - 3, target.end(), group.mac.end() - 3);
  std::copy(target.end() - 3, target.end(), group.ip.end() - 3);
  return group;
}

DiscoveryFrame make(std::uint8_t type, const MacAddress& mac, const Bytes& source,
                    const Destination& destination, const Bytes& target) {
  const bool asks = type == ND_NEIGHBOR_SOLICIT;
  Frame frame{};
  std::copy(destination.mac.begin(), destination.mac.end(), frame.ethernet.ether_dhost);
  std::copy(mac.begin(), mac.end(), frame.ethernet.ether_shost);
  frame.ethernet.ether_type = htons(ETHERTYPE_IPV6);
  frame.ip.ip6_flow = htonl(0x60000000);
  frame.ip.ip6_plen = htons(sizeof(Message));
  frame.ip.ip6_nxt = IPPROTO_ICMPV6;
  frame.ip.ip6_hlim = hop_limit;
  std::copy(source.begin(), source.end(), frame.ip.ip6_src.s6_addr);
  std::copy(destination.ip.begin(), destination.ip.end(), frame.ip.ip6_dst.s6_addr);
  frame.message.head.nd_na_type = type;
  if (!asks) frame.message.head.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
  std::copy(target.begin(), target.end(), frame.message.head.nd_na_target.s6_addr);
  frame.message.option_type = asks ? ND_OPT_SOURCE_LINKADDR : ND_OPT_TARGET_LINKADDR;
  frame.message.option_length = 1;
  std::copy(mac.begin(), mac.end(), frame.message.mac);
  frame.message.head.nd_na_cksum = checksum(frame);
  return std::bit_cast<DiscoveryFrame>(frame);
}

}  // namespace

DiscoveryFrame unsolicited_advertisement(const MacAddress& mac, const IpAddress& address) {
  const auto ip = address.to_v6().to_bytes();
  return make(ND_NEIGHBOR_ADVERT, mac, ip, all_nodes(), ip);
}

DiscoveryFrame neighbor_solicitation(const MacAddress& mac, const IpAddress& sender,
                                     const IpAddress& target, const std::optional<MacAddress>& to) {
  const auto whom = target.to_v6().to_bytes();
  const auto destination = to ? Destination{*to, whom} : solicited_nodes(whom);
  return make(ND_NEIGHBOR_SOLICIT, mac, sender.to_v6().to_bytes(), destination, whom);
}

std::optional<NeighborClaim> claim_of_advertisement(std::span<const std::uint8_t> frame) {
  constexpr std::size_t without_option = sizeof(Frame) - 8;
  Frame arrived{};
  if (frame.size() < without_option) return std::nullopt;
  std::memcpy(&arrived, frame.data(), std::min(frame.size(), sizeof arrived));
  const auto message = arrived.message;  // a copy: within the packed frame it is not aligned
  if (arrived.ethernet.ether_type != htons(ETHERTYPE_IPV6) ||
      arrived.ip.ip6_nxt != IPPROTO_ICMPV6 || arrived.ip.ip6_hlim != hop_limit ||
      message.head.nd_na_type != ND_NEIGHBOR_ADVERT)
    return std::nullopt;
  NeighborClaim claim;
  Bytes ip;
  std::copy_n(message.head.nd_na_target.s6_addr, ip.size(), ip.begin());
  claim.address = boost::asio::ip::address_v6(ip);
  const bool has_option =
      message.option_type == ND_OPT_TARGET_LINKADDR && message.option_length == 1;
  std::copy_n(has_option ? message.mac : arrived.ethernet.ether_shost, claim.mac.size(),
              claim.mac.begin());
  return claim;
}

}  // namespace sluice::network
