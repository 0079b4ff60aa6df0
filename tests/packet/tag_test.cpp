// VLAN tags don't influence balancing; the tag of a packet that leaves is the next hop's.
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

constexpr Mac tagged_mac{0x02, 0, 0, 0, 0x04, 0x04};

using Tags = AllProtocols;
FOR_ALL_PROTOCOLS(Tags);

TEST_P(Tags, AMemberInAVlanGetsItsTagAndItsAnswerLosesIt) {
  use_mode(SLUICE_FULLNAT, protocol(), {net().tagged_member});
  const auto first = from_client(protocol());
  auto expected = at_member(first);
  expected.destination = net().tagged_member;
  expected.destination_mac = tagged_mac;
  expected.tags = {{0x8100, 100}};
  auto out = receive(first);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));

  auto answer = from_member(1, protocol());
  answer.source = net().tagged_member;
  answer.source_mac = tagged_mac;
  answer.tags = {{0x8100, 100}};
  auto at_them = at_client(answer);
  at_them.tags = {};
  out = receive(answer);
  EXPECT_EQ(out.reason, "replied");
  EXPECT_TRUE(same_frame(out.frame, at_them.bytes()));
}

TEST_P(Tags, TwoTagsAreTakenOff) {
  auto first = from_client(protocol());
  first.tags = {{0x88a8, 7}, {0x8100, 100}};
  auto expected = at_member(first);
  expected.tags = {};
  EXPECT_TRUE(same_frame(receive(first).frame, expected.bytes()));
}

TEST_P(Tags, ThreeTagsAreNotOurs) {
  auto first = from_client(protocol());
  first.tags = {{0x88a8, 7}, {0x8100, 100}, {0x8100, 5}};
  const auto out = receive(first);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_TRUE(same_frame(out.frame, first.bytes()));
}

TEST_P(Tags, SomebodyElsesTaggedFramePassesUntouched) {
  auto packet = from_client(protocol());
  packet.destination = net().somebody;
  packet.tags = {{0x8100, 100}};
  const auto out = receive(packet);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_TRUE(same_frame(out.frame, packet.bytes()));
}

using TagsOfBoth = BothFamilies;
FOR_BOTH_FAMILIES(TagsOfBoth);

TEST_P(TagsOfBoth, AnAnswerOfTheDataPlaneKeepsTheTagsThatItWasAskedWith) {
  auto ping = icmp_error(net().client, net().vip, family() == 4 ? 8 : 128, 0, 7, text("abcd"));
  ping.source_mac = router_mac;
  ping.destination_mac = lan_mac;
  ping.tags = {{0x8100, 100}};
  auto expected = ping;
  std::swap(expected.source, expected.destination);
  std::swap(expected.source_mac, expected.destination_mac);
  expected.type = family() == 4 ? 0 : 129;
  EXPECT_TRUE(same_frame(receive(ping).frame, expected.bytes()));
}

}  // namespace
}  // namespace sluice::test
