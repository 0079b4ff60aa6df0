#include "network/discovery_frame.hpp"

#include <gtest/gtest.h>

namespace sluice::network {
namespace {

TEST(UnsolicitedAdvertisement, TellsAllNodesWhereTheVipIs) {
  const MacAddress nic = {0x02, 0x00, 0x5e, 0x10, 0x20, 0x30};
  const auto vip = parse_ip_address("2001:db8::16").value();
  const DiscoveryFrame expected = {
      0x33, 0x33, 0,    0,    0,    1,                 // to all nodes
      0x02, 0x00, 0x5e, 0x10, 0x20, 0x30,              // from the NIC
      0x86, 0xdd,                                      // IPv6
      0x60, 0,    0,    0,    0,    32,   58,   255,   // ICMPv6, hop limit 255
      0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,    0,     // from the VIP
      0,    0,    0,    0,    0,    0,    0,    0x16,  //
      0xff, 0x02, 0,    0,    0,    0,    0,    0,     // to ff02::1
      0,    0,    0,    0,    0,    0,    0,    1,     //
      136,  0,    0x7a, 0xc1, 0x20, 0,    0,    0,     // advertisement, override
      0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,    0,     // target: the VIP
      0,    0,    0,    0,    0,    0,    0,    0x16,  //
      2,    1,    0x02, 0x00, 0x5e, 0x10, 0x20, 0x30,  // its MAC
  };
  auto frame = unsolicited_advertisement(nic, vip);
  EXPECT_EQ(frame, expected);
}

TEST(NeighborSolicitation, AsksThoseWhoMayHaveTheAddress) {
  const MacAddress nic = {0x02, 0x00, 0x5e, 0x10, 0x20, 0x30};
  const auto own = parse_ip_address("2001:db8::9").value();
  const auto target = parse_ip_address("2001:db8::12:3456").value();
  const DiscoveryFrame expected = {
      0x33, 0x33, 0xff, 0x12, 0x34, 0x56,              // to its solicited nodes
      0x02, 0x00, 0x5e, 0x10, 0x20, 0x30,              // from the NIC
      0x86, 0xdd,                                      // IPv6
      0x60, 0,    0,    0,    0,    32,   58,   255,   // ICMPv6, hop limit 255
      0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,    0,     // from our own address
      0,    0,    0,    0,    0,    0,    0,    0x09,  //
      0xff, 0x02, 0,    0,    0,    0,    0,    0,     // to ff02::1:ff12:3456
      0,    0,    0,    1,    0xff, 0x12, 0x34, 0x56,  //
      135,  0,    0x35, 0x13, 0,    0,    0,    0,     // solicitation
      0x20, 0x01, 0x0d, 0xb8, 0,    0,    0,    0,     // target
      0,    0,    0,    0,    0,    0x12, 0x34, 0x56,  //
      1,    1,    0x02, 0x00, 0x5e, 0x10, 0x20, 0x30,  // our MAC
  };
  auto frame = neighbor_solicitation(nic, own, target, std::nullopt);
  EXPECT_EQ(frame, expected);
  EXPECT_FALSE(claim_of_advertisement(frame)) << "a question claims nothing";
}

TEST(NeighborSolicitation, CanAskTheLastKnownHolderAlone) {
  const MacAddress holder = {0x02, 0, 0, 0, 0, 0x04};
  const auto target = parse_ip_address("2001:db8::4").value();
  const auto frame = neighbor_solicitation({0x02, 0, 0, 0, 0, 0x09},
                                           parse_ip_address("2001:db8::9").value(), target, holder);
  EXPECT_TRUE(std::equal(holder.begin(), holder.end(), frame.begin()));
  const auto ip = target.to_v6().to_bytes();
  EXPECT_TRUE(std::equal(ip.begin(), ip.end(), frame.begin() + 14 + 24)) << "and to its address";
}

TEST(AdvertisementClaim, IsTheTargetAtItsMac) {
  const MacAddress member = {0x02, 0, 0, 0, 0, 0x04};
  const auto address = parse_ip_address("2001:db8::4").value();
  auto frame = unsolicited_advertisement(member, address);
  EXPECT_EQ(claim_of_advertisement(frame), (NeighborClaim{address, member}));
  EXPECT_FALSE(claim_of_advertisement(std::span(frame).first(70))) << "cut off";
  frame[21] = 254;
  EXPECT_FALSE(claim_of_advertisement(frame)) << "from beyond a router";
}

}  // namespace
}  // namespace sluice::network
