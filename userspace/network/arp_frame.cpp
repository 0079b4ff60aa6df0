#include "network/arp_frame.hpp"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::network {
namespace {

struct Frame {
  ether_header ethernet;
  ether_arp arp;
};
static_assert(sizeof(Frame) == sizeof(ArpFrame));

}  // namespace

ArpFrame arp_request(const MacAddress& mac, const IpAddress& sender, const IpAddress& target,
                     const MacAddress& to) {
  const auto from = sender.to_v4().to_bytes(), whom = target.to_v4().to_bytes();
  Frame frame{};
  std::copy(to.begin(), to.end(), frame.ethernet.ether_dhost);
  std::copy(mac.begin(), mac.end(), frame.ethernet.ether_shost);
  frame.ethernet.ether_type = htons(ETHERTYPE_ARP);
  frame.arp.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
                      .ar_pro = htons(ETHERTYPE_IP),
                      .ar_hln = static_cast<unsigned char>(mac.size()),
                      .ar_pln = static_cast<unsigned char>(from.size()),
                      .ar_op = htons(ARPOP_REQUEST)};
  std::copy(mac.begin(), mac.end(), frame.arp.arp_sha);
  std::copy(from.begin(), from.end(), frame.arp.arp_spa);
  std::copy(whom.begin(), whom.end(), frame.arp.arp_tpa);  // the target's MAC stays zero: unknown
  return std::bit_cast<ArpFrame>(frame);
}

ArpFrame gratuitous_arp(const MacAddress& mac, const IpAddress& address) {
  return arp_request(mac, address, address, broadcast_mac);
}

std::optional<NeighborClaim> claim_of_arp(std::span<const std::uint8_t> frame) {
  Frame arrived;
  if (frame.size() < sizeof arrived) return std::nullopt;
  std::memcpy(&arrived, frame.data(), sizeof arrived);
  const auto& header = arrived.arp.ea_hdr;
  NeighborClaim claim;
  boost::asio::ip::address_v4::bytes_type ip;
  if (arrived.ethernet.ether_type != htons(ETHERTYPE_ARP) || header.ar_pro != htons(ETHERTYPE_IP) ||
      header.ar_hln != claim.mac.size() || header.ar_pln != ip.size())
    return std::nullopt;
  std::copy_n(arrived.arp.arp_spa, ip.size(), ip.begin());
  std::copy_n(arrived.arp.arp_sha, claim.mac.size(), claim.mac.begin());
  claim.address = boost::asio::ip::address_v4(ip);
  if (claim.address.is_unspecified()) return std::nullopt;  // a question, as ours are
  return claim;
}

}  // namespace sluice::network
