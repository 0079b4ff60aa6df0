#include "network/arp_frame.hpp"

#include <gtest/gtest.h>

namespace sluice::network {
namespace {

TEST(GratuitousArp, IsABroadcastRequestFromTheVipForTheVip) {
  const MacAddress nic = {0x02, 0x00, 0x5e, 0x10, 0x20, 0x30};
  const auto vip = parse_ip_address("10.0.0.16").value();
  const ArpFrame expected = {
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  // to everybody
      0x02, 0x00, 0x5e, 0x10, 0x20, 0x30,  // from the NIC
      0x08, 0x06,                          // ARP
      0x00, 0x01, 0x08, 0x00, 6,    4,     // IPv4 over Ethernet
      0x00, 0x01,                          // request
      0x02, 0x00, 0x5e, 0x10, 0x20, 0x30,  // sender: the NIC ...
      10,   0,    0,    16,                // ... has the VIP
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // target: nobody in particular
      10,   0,    0,    16,                // the VIP
  };
  EXPECT_EQ(gratuitous_arp(nic, vip), expected);
}

}  // namespace
}  // namespace sluice::network
