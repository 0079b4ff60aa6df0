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

TEST(ArpRequest, ProbesWithoutClaimingAnything) {
  const MacAddress nic = {0x02, 0x00, 0x5e, 0x10, 0x20, 0x30};
  const auto probe = arp_request(nic, parse_ip_address("0.0.0.0").value(),
                                 parse_ip_address("10.0.0.4").value(), broadcast_mac);
  const ArpFrame expected = {
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  // to everybody
      0x02, 0x00, 0x5e, 0x10, 0x20, 0x30,  // from the NIC
      0x08, 0x06,                          // ARP
      0x00, 0x01, 0x08, 0x00, 6,    4,     // IPv4 over Ethernet
      0x00, 0x01,                          // request
      0x02, 0x00, 0x5e, 0x10, 0x20, 0x30,  // sender: the NIC ...
      0,    0,    0,    0,                 // ... has no address
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // whose MAC is asked for ...
      10,   0,    0,    4,                 // ... that has this address
  };
  EXPECT_EQ(probe, expected);
  EXPECT_FALSE(claim_of_arp(probe));
}

TEST(ArpClaim, IsWhatTheSenderSaysOfItself) {
  const MacAddress member = {0x02, 0, 0, 0, 0, 0x04};
  const auto address = parse_ip_address("10.0.0.4").value();
  auto frame = arp_request(member, address, parse_ip_address("10.0.0.9").value(), broadcast_mac);
  EXPECT_EQ(claim_of_arp(frame), (NeighborClaim{address, member}));
  EXPECT_EQ(claim_of_arp(gratuitous_arp(member, address)), (NeighborClaim{address, member}));
  EXPECT_FALSE(claim_of_arp(std::span(frame).first(41))) << "cut off";
  frame[12] = 0x86;
  EXPECT_FALSE(claim_of_arp(frame)) << "no ARP";
}

}  // namespace
}  // namespace sluice::network
