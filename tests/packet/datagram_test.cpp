// Listeners that schedule datagrams (udp_scheduling packet): each goes to a member by itself.
#include <algorithm>

#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

constexpr std::uint32_t datagram_listener = 9;

using DatagramCase = std::tuple<int, sluice_forwarding_mode>;

class Datagrams : public Traffic, public ::testing::WithParamInterface<DatagramCase> {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    use_mode(mode(), L4::udp);
    auto value = listener(pool(L4::udp), datagram_listener);
    value.flags = SLUICE_LISTENER_PER_PACKET;
    put_listener(net().vip, listener_port(L4::udp), L4::udp, value);
  }
  int family() const override { return std::get<0>(GetParam()); }
  static sluice_forwarding_mode mode() { return std::get<1>(GetParam()); }

  Packet datagram(std::uint16_t port = 40000) const { return from_client(L4::udp, 0, port); }
  // The member that the packets of a call of `send` went to; 0: not to one of them alone.
  template <typename Send>
  int member_of(Send send) {
    const auto packets = [&](int member) {
      return member_counters(member_index(member, L4::udp)).packets_in;
    };
    const auto first = packets(1), second = packets(2);
    send();
    const bool to_first = packets(1) > first, to_second = packets(2) > second;
    return to_first == to_second ? 0 : to_first ? 1 : 2;
  }
  std::size_t kept() { return flows().size() + flows6().size(); }
};
std::string datagrams_name(const ::testing::TestParamInfo<DatagramCase>& info) {
  const auto [family, mode] = info.param;
  const std::string name = mode == SLUICE_DNAT   ? "Dnat"
                           : mode == SLUICE_DSR  ? "Dsr"
                           : mode == SLUICE_IPIP ? "Ipip"
                                                 : "Gue";
  return name + (family == 4 ? "OverIPv4" : "OverIPv6");
}
INSTANTIATE_TEST_SUITE_P(, Datagrams,
                         ::testing::Combine(::testing::Values(4, 6),
                                            ::testing::Values(SLUICE_DNAT, SLUICE_DSR, SLUICE_IPIP,
                                                              SLUICE_GUE)),
                         datagrams_name);

TEST_P(Datagrams, OfOneSocketGoToEachMemberInTurnAndNoFlowIsKept) {
  int last = 0;
  for (int i = 0; i < 6; ++i) {
    const auto member = member_of([&] {
      const auto sent = datagram();
      const auto out = receive(sent);
      EXPECT_EQ(out.reason, "datagram_forwarded");
      if (mode() != SLUICE_DSR && mode() != SLUICE_DNAT) return;  // direct_test.cpp: tunnels
      auto expected = sent;
      expected.source_mac = lan_mac;
      expected.destination_mac = last == 1 ? member2_mac : member1_mac;
      if (mode() == SLUICE_DNAT) {
        expected.destination = last == 1 ? net().member2 : net().member1;
        expected.destination_port = member_port(L4::udp);
      }
      --expected.ttl;
      EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
    });
    EXPECT_NE(member, 0);
    EXPECT_NE(member, last) << i;
    last = member;
  }
  EXPECT_EQ(kept(), 0U);
  const auto counted = listener_counters(datagram_listener);
  EXPECT_EQ(counted.packets_in, 6U);
  EXPECT_EQ(counted.flows_opened, 0U);
}

TEST_P(Datagrams, MoreThanTheTableHasRoomForAreForwardedAll) {
  for (std::uint16_t port = 1024; port < 1024 + 4 * flow_capacity; ++port)
    ASSERT_EQ(receive(datagram(port)).reason, "datagram_forwarded");
  EXPECT_EQ(kept(), 0U);
}

TEST_P(Datagrams, AllFragmentsOfOneGoToOneMember) {
  int members[3]{};
  for (std::uint16_t id = 1; id <= 40; ++id) {
    auto sent = datagram();
    sent.id = id;
    sent.data = Bytes(1200);
    const auto member = member_of([&] {
      EXPECT_EQ(receive(sent.fragment(0, 640, true)).reason, "datagram_forwarded");
      EXPECT_EQ(receive(sent.fragment(640, 320, true)).reason, "datagram_forwarded");
      EXPECT_EQ(receive(sent.fragment(960, 2000, false)).reason, "datagram_forwarded");
    });
    ++members[member];
  }
  EXPECT_EQ(members[0], 0) << "of a datagram went to both";
  EXPECT_GT(members[1], 8);
  EXPECT_GT(members[2], 8);
  auto other = datagram();
  other.id = 4711;
  other.data = Bytes(1200);
  EXPECT_EQ(receive(other.fragment(640, 320, true)).reason, "fragment_without_first");
  EXPECT_EQ(kept(), 0U);
}

TEST_P(Datagrams, AClientStaysWithItsMemberIfThePoolHashesOrRemembers) {
  const auto first = member_index(1, L4::udp), second = member_index(2, L4::udp);
  for (const auto persistence : {0U, 60U}) {
    put_pool(pool(L4::udp), mode(), {first, second, first, second, first},
             persistence ? SLUICE_ROUND_ROBIN : SLUICE_SOURCE_IP, persistence);
    const auto member = member_of([&] { receive(datagram(41000)); });
    EXPECT_NE(member, 0);
    for (std::uint16_t port = 41001; port < 41010; ++port)
      EXPECT_EQ(member_of([&] { receive(datagram(port)); }), member);
  }
}

TEST_P(Datagrams, AreAdmittedOneByOne) {
  auto limited = listener(pool(L4::udp), datagram_listener);
  limited.flags = SLUICE_LISTENER_PER_PACKET | SLUICE_LISTENER_RESTRICTED;
  put_listener(net().vip, listener_port(L4::udp), L4::udp, limited);
  EXPECT_EQ(receive(datagram()).reason, "not_allowed");
  allow(datagram_listener, family() == 4 ? "203.0.113.0" : "2001:db8:c::", family() == 4 ? 24 : 48);
  EXPECT_EQ(receive(datagram()).reason, "datagram_forwarded");
  put_pool(pool(L4::udp), mode(), {});
  EXPECT_EQ(receive(datagram()).reason, "no_member");
}

// A member's answer has no flow either: it is the member's own packet, which the host's kernel
// routes.
TEST_P(Datagrams, AnswersComeFromTheMember) {
  if (mode() != SLUICE_DNAT) return;  // they don't pass here
  receive(datagram());
  const auto answer = from_member(1, L4::udp, 0, 40000, true);
  const auto out = receive(answer);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_TRUE(same_frame(out.frame, answer.bytes()));
}

// The API refuses such pools; a listener that is being changed may have one for a moment.
TEST_P(Datagrams, WhoseAnswersComeBackThroughHereAreSessions) {
  use_mode(SLUICE_FULLNAT, L4::udp);
  EXPECT_EQ(receive(datagram()).reason, "flow_created");
  EXPECT_EQ(receive(datagram()).reason, "forwarded");
}

}  // namespace
}  // namespace sluice::test
