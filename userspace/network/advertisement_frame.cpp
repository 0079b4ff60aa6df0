#include "network/advertisement_frame.hpp"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>

#include <algorithm>
#include <bit>

namespace sluice::network {
namespace {

constexpr std::uint8_t hop_limit = 255;  // proves that no router was in between

struct Message {
  nd_neighbor_advert advert;
  std::uint8_t option_type, option_length;  // length in 8 bytes
  std::uint8_t mac[6];
};

struct Frame {
  ether_header ethernet;
  ip6_hdr ip;
  Message message;
} __attribute__((packed));
static_assert(sizeof(Frame) == sizeof(AdvertisementFrame));

// RFC 8200, 8.1: over the pseudo header and the message.
std::uint16_t checksum(const Frame& frame) {
  const auto bytes = std::bit_cast<AdvertisementFrame>(frame);
  std::uint32_t sum = sizeof(Message) + IPPROTO_ICMPV6;
  constexpr std::size_t addresses = sizeof(ether_header) + 8;
  for (std::size_t i = addresses; i < bytes.size(); i += 2) {
    sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

}  // namespace

AdvertisementFrame unsolicited_advertisement(const MacAddress& mac, const IpAddress& address) {
  const auto ip = address.to_v6().to_bytes();
  constexpr std::array<std::uint8_t, 6> all_nodes_mac{0x33, 0x33, 0, 0, 0, 1};
  constexpr std::array<std::uint8_t, 16> all_nodes{0xff, 0x02, 0, 0, 0, 0, 0, 0,
                                                   0,    0,    0, 0, 0, 0, 0, 1};
  Frame frame{};
  std::copy(all_nodes_mac.begin(), all_nodes_mac.end(), frame.ethernet.ether_dhost);
  std::copy(mac.begin(), mac.end(), frame.ethernet.ether_shost);
  frame.ethernet.ether_type = htons(ETHERTYPE_IPV6);
  frame.ip.ip6_flow = htonl(0x60000000);
  frame.ip.ip6_plen = htons(sizeof(Message));
  frame.ip.ip6_nxt = IPPROTO_ICMPV6;
  frame.ip.ip6_hlim = hop_limit;
  std::copy(ip.begin(), ip.end(), frame.ip.ip6_src.s6_addr);
  std::copy(all_nodes.begin(), all_nodes.end(), frame.ip.ip6_dst.s6_addr);
  frame.message.advert.nd_na_type = ND_NEIGHBOR_ADVERT;
  frame.message.advert.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
  std::copy(ip.begin(), ip.end(), frame.message.advert.nd_na_target.s6_addr);
  frame.message.option_type = ND_OPT_TARGET_LINKADDR;
  frame.message.option_length = 1;
  std::copy(mac.begin(), mac.end(), frame.message.mac);
  frame.message.advert.nd_na_cksum = checksum(frame);
  return std::bit_cast<AdvertisementFrame>(frame);
}

}  // namespace sluice::network
