#include "network/arp_frame.hpp"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>

#include <algorithm>
#include <bit>

namespace sluice::network {

ArpFrame gratuitous_arp(const MacAddress& mac, const IpAddress& address) {
  struct Frame {
    ether_header ethernet;
    ether_arp arp;
  };
  static_assert(sizeof(Frame) == sizeof(ArpFrame));

  const auto ip = address.to_v4().to_bytes();
  Frame frame{};
  std::fill_n(frame.ethernet.ether_dhost, mac.size(), std::uint8_t{0xff});
  std::copy(mac.begin(), mac.end(), frame.ethernet.ether_shost);
  frame.ethernet.ether_type = htons(ETHERTYPE_ARP);
  frame.arp.ea_hdr = {.ar_hrd = htons(ARPHRD_ETHER),
                      .ar_pro = htons(ETHERTYPE_IP),
                      .ar_hln = static_cast<unsigned char>(mac.size()),
                      .ar_pln = static_cast<unsigned char>(ip.size()),
                      .ar_op = htons(ARPOP_REQUEST)};
  std::copy(mac.begin(), mac.end(), frame.arp.arp_sha);
  std::copy(ip.begin(), ip.end(), frame.arp.arp_spa);
  std::copy(ip.begin(), ip.end(),
            frame.arp.arp_tpa);  // the target's MAC stays zero: nobody is asked
  return std::bit_cast<ArpFrame>(frame);
}

}  // namespace sluice::network
