#include "network/advertisement_frame.hpp"

#include <gtest/gtest.h>

namespace sluice::network {
namespace {

TEST(UnsolicitedAdvertisement, TellsAllNodesWhereTheVipIs) {
  const MacAddress nic = {0x02, 0x00, 0x5e, 0x10, 0x20, 0x30};
  const auto vip = parse_ip_address("2001:db8::16").value();
  const AdvertisementFrame expected = {
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

}  // namespace
}  // namespace sluice::network
