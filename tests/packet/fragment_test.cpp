// Fragments: the first one has the ports and decides; the others follow it.
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

using Fragments = AllProtocols;
FOR_ALL_PROTOCOLS(Fragments);

Packet large(Packet packet) {
  packet.data = Bytes(1200);
  for (std::size_t i = 0; i < packet.data.size(); ++i)
    packet.data[i] = static_cast<std::uint8_t>(i);
  return packet;
}

TEST_P(Fragments, AllOfAClientsFragmentsGoToOneMember) {
  const auto sent = large(from_client(protocol()));
  const auto expected = at_member(sent);
  auto out = receive(sent.fragment(0, 640, true));
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, expected.fragment(0, 640, true)));
  out = receive(sent.fragment(640, 320, true));
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_TRUE(same_frame(out.frame, expected.fragment(640, 320, true)));
  out = receive(sent.fragment(960, 2000, false));
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_TRUE(same_frame(out.frame, expected.fragment(960, 2000, false)));
}

TEST_P(Fragments, AMembersFragmentsGoBackToTheClient) {
  establish(protocol());
  const auto sent = large(from_member(1, protocol(), ACK));
  const auto expected = at_client(sent);
  auto out = receive(sent.fragment(0, 640, true));
  EXPECT_EQ(out.reason, "replied");
  EXPECT_TRUE(same_frame(out.frame, expected.fragment(0, 640, true)));
  out = receive(sent.fragment(640, 2000, false));
  EXPECT_EQ(out.reason, "replied");
  EXPECT_TRUE(same_frame(out.frame, expected.fragment(640, 2000, false)));
}

TEST_P(Fragments, ALaterFragmentWithoutItsFirstIsDropped) {
  const auto sent = large(from_client(protocol()));
  EXPECT_EQ(receive(sent.fragment(640, 320, true)).reason, "fragment_without_first");
  receive(sent.fragment(0, 640, true));
  auto other_packet = sent;
  ++other_packet.id;
  EXPECT_EQ(receive(other_packet.fragment(640, 320, true)).reason, "fragment_without_first");
}

TEST_P(Fragments, SomebodyElsesFragmentsPassUntouched) {
  auto sent = large(from_client(protocol()));
  sent.destination = net().somebody;
  for (const auto& frame : {sent.fragment(0, 640, true), sent.fragment(640, 320, true)}) {
    const auto out = receive(frame);
    EXPECT_EQ(out.reason, "not_ours");
    EXPECT_TRUE(same_frame(out.frame, frame));
  }
}

using FragmentsOfBoth = BothFamilies;
FOR_BOTH_FAMILIES(FragmentsOfBoth);

TEST_P(FragmentsOfBoth, AFragmentedPingIsNotAnswered) {
  auto ping = icmp_error(net().client, net().vip, family() == 4 ? 8 : 128, 0, 7, Bytes(1000));
  ping.source_mac = router_mac;
  ping.destination_mac = lan_mac;
  EXPECT_EQ(receive(ping.fragment(0, 640, true)).reason, "fragment_without_first");
  EXPECT_EQ(receive(ping.fragment(640, 999, false)).reason, "fragment_without_first");
}

}  // namespace
}  // namespace sluice::test
