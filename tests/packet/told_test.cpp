// Packets that the data plane makes itself: echo and neighbour replies, ICMP errors, resets.
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Told : public BothFamilies {
 protected:
  // The answer to a packet, as an ICMP error from `from`.
  Packet told(const Packet& sent, const std::string& from, std::uint8_t type, std::uint8_t code,
              std::uint32_t rest = 0) const {
    Packet p = icmp_error(from, sent.source, type, code, rest, cut(sent.ip_bytes(), 128));
    p.source_mac = sent.destination_mac;
    p.destination_mac = sent.source_mac;
    p.tags = sent.tags;
    p.id = 0;
    p.tos = family() == 4 ? 0xc0 : 0;
    return p;
  }
  std::uint8_t time_exceeded() const { return family() == 4 ? 11 : 3; }
};
FOR_BOTH_FAMILIES(Told);
class Ipv4Told : public Told {};  // routers fragment
FOR_FAMILY(Ipv4Told, 4);
class Ipv6Told : public Told {};  // neighbours are found by ICMP; ARP: answer_test.cpp
FOR_FAMILY(Ipv6Told, 6);

TEST_P(Told, APingOfTheVipIsAnswered) {
  auto ping =
      icmp_error(net().client, net().vip, family() == 4 ? 8 : 128, 0, 0x00070001, text("abcdefgh"));
  ping.source_mac = router_mac;
  ping.destination_mac = lan_mac;
  ping.ttl = 1;
  auto expected = ping;
  std::swap(expected.source, expected.destination);
  std::swap(expected.source_mac, expected.destination_mac);
  expected.type = family() == 4 ? 0 : 129;
  expected.ttl = 64;
  const auto out = receive(ping);
  EXPECT_EQ(out.reason, "echo_answered");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
}

TEST_P(Told, ASynWhoseTtlEndsHereIsReportedByTheVip) {
  auto syn = from_client();
  syn.ttl = 1;
  const auto out = receive(syn);
  EXPECT_EQ(out.reason, "time_exceeded_sent");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, told(syn, net().vip, time_exceeded(), 0).bytes()));
}

TEST_P(Told, AMembersPacketWhoseTtlEndsHereIsReportedToTheMember) {
  establish();
  auto answer = from_member(1, L4::tcp, ACK);
  answer.ttl = 1;
  answer.data = Bytes(700, 'x');  // the quote is cut
  const auto out = receive(answer);
  EXPECT_EQ(out.reason, "time_exceeded_sent");
  EXPECT_TRUE(same_frame(out.frame, told(answer, net().vip, time_exceeded(), 0).bytes()));
}

TEST_P(Told, APacketLongerThanItsWayIsReportedWithTheMtu) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().narrow_member});
  ASSERT_EQ(receive(from_client()).reason, "flow_created");
  auto large = from_client(L4::tcp, ACK);
  large.data = Bytes(1401 - 20 - (family() == 4 ? 20 : 40), 'x');
  const auto out = receive(large);
  EXPECT_EQ(out.reason, "too_big_sent");
  const auto type = static_cast<std::uint8_t>(family() == 4 ? 3 : 2);
  const auto code = static_cast<std::uint8_t>(family() == 4 ? 4 : 0);
  EXPECT_TRUE(same_frame(out.frame, told(large, net().vip, type, code, 1400).bytes()));
  large.data.pop_back();
  EXPECT_EQ(receive(large).reason, "forwarded");
}

TEST_P(Ipv4Told, APacketThatMayBeFragmentedIsTranslatedAndLeftToTheKernel) {
  use_mode(SLUICE_FULLNAT, L4::udp, {net().narrow_member});
  receive(from_client(L4::udp));
  auto large = from_client(L4::udp);
  large.dont_fragment = false;
  large.data = Bytes(1460, 'x');
  auto expected = at_member(large);
  expected.destination = net().narrow_member;
  expected.source_mac = large.source_mac;
  expected.destination_mac = large.destination_mac;
  expected.ttl = large.ttl;
  const auto out = receive(large);
  EXPECT_EQ(out.reason, "left_to_fragment");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
}

TEST_P(Told, AListenerThatResetsTellsTcpClientsThatThereIsNoMember) {
  auto resets = listener(pool(), 9);
  resets.flags = SLUICE_LISTENER_RESETS;
  put_listener(net().vip, 80, L4::tcp, resets);
  put_pool(pool(), SLUICE_FULLNAT, {});
  const auto syn = from_client();
  auto expected = answer_to(syn, RST | ACK);
  expected.acknowledgement = syn.sequence + 1 + static_cast<std::uint32_t>(syn.data.size());
  const auto out = receive(syn);
  EXPECT_EQ(out.reason, "rejected");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  EXPECT_EQ(listener_counters(9).flows_refused, 1U);
}

TEST_P(Told, AListenerThatResetsTellsUdpClientsToo) {
  auto resets = listener(pool(L4::udp), 9);
  resets.flags = SLUICE_LISTENER_RESETS;
  put_listener(net().vip, 53, L4::udp, resets);
  put_pool(pool(L4::udp), SLUICE_FULLNAT, {});
  const auto packet = from_client(L4::udp);
  const auto out = receive(packet);
  EXPECT_EQ(out.reason, "rejected");
  const auto type = static_cast<std::uint8_t>(family() == 4 ? 3 : 1);
  const auto code = static_cast<std::uint8_t>(family() == 4 ? 3 : 4);
  EXPECT_TRUE(same_frame(out.frame, told(packet, net().vip, type, code).bytes()));
}

TEST_P(Told, AVipThatRejectsTellsClientsOfPortsWithoutListener) {
  put_vip(net().vip, true, SLUICE_VIP_REJECTS);
  auto packet = from_client(L4::udp);
  packet.destination_port = 33434;
  EXPECT_EQ(receive(packet).reason, "rejected");
  auto syn = from_client();
  syn.destination_port = 81;
  EXPECT_EQ(receive(syn).reason, "rejected");
  auto reset = syn;
  reset.flags = RST;
  EXPECT_EQ(receive(reset).reason, "no_listener") << "a reset is never answered";
}

TEST_P(Told, AVipThatRejectsTellsTcpClientsOfUnknownConnections) {
  put_vip(net().vip, true, SLUICE_VIP_REJECTS);
  auto stray = from_client();
  stray.flags = ACK;
  stray.acknowledgement = 12345;
  auto expected = answer_to(stray, RST);
  expected.sequence = 12345;  // what the client expects next (RFC 9293, 3.10.7.1)
  const auto out = receive(stray);
  EXPECT_EQ(out.reason, "rejected");
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  stray.flags = RST | ACK;
  EXPECT_EQ(receive(stray).reason, "no_flow") << "a reset is never answered";
}

TEST_P(Ipv6Told, ANeighbourSolicitationForAVipIsAnswered) {
  Packet ask;
  ask.source_mac = neighbour_mac;
  ask.destination_mac = {0x33, 0x33, 0xff, 0, 0, 0x16};
  ask.source = "2001:db8::77";
  ask.destination = "ff02::1:ff00:16";
  ask.protocol = L4::icmpv6;
  ask.ttl = 255;
  ask.type = 135;
  ask.data = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16, 1, 1};
  ask.data.insert(ask.data.end(), neighbour_mac.begin(), neighbour_mac.end());
  Packet expected = ask;
  expected.source_mac = lan_mac;
  expected.destination_mac = neighbour_mac;
  expected.source = net().vip;
  expected.destination = "2001:db8::77";
  expected.type = 136;
  expected.rest = 0x60000000;
  expected.data[16] = 2;
  std::copy(lan_mac.begin(), lan_mac.end(), expected.data.begin() + 18);
  auto out = receive(ask);
  EXPECT_EQ(out.reason, "nd_answered");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));

  auto for_other = ask;
  for_other.data[15] = 0x17;
  out = receive(for_other);
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_TRUE(same_frame(out.frame, for_other.bytes()));

  auto from_afar = ask;
  from_afar.ttl = 254;
  EXPECT_EQ(receive(from_afar).action, static_cast<std::uint32_t>(XDP_PASS));
  auto detection = ask;  // duplicate address detection
  detection.source = "::";
  EXPECT_EQ(receive(detection).action, static_cast<std::uint32_t>(XDP_PASS));
}

}  // namespace
}  // namespace sluice::test
