// ICMP errors about a connection reach the sender of the packet, translated to its addresses.
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Errors : public AllProtocols {
 protected:
  std::uint8_t unreachable() const { return family() == 4 ? 3 : 1; }
  std::uint8_t too_big() const { return family() == 4 ? 3 : 2; }
  std::uint8_t too_big_code() const { return family() == 4 ? 4 : 0; }
  // Makes the packet come from the clients' router.
  static Packet through_the_router(Packet p) {
    p.source_mac = router_mac;
    p.destination_mac = lan_mac;
    return p;
  }
  static Packet sent_on(Packet p, const Mac& next_hop) {
    p.source_mac = lan_mac;
    p.destination_mac = next_hop;
    --p.ttl;
    return p;
  }
};
FOR_ALL_PROTOCOLS(Errors);

TEST_P(Errors, ARouterOnTheWayToTheClientTellsTheMember) {
  establish(protocol());
  const auto answer = from_member(1, protocol(), ACK);
  const auto error =
      through_the_router(icmp_error(net().other_client, net().vip, too_big(), too_big_code(), 1300,
                                    at_client(answer).ip_bytes()));
  // The member's packet, with the TTL that it had at the router.
  auto quoted = answer;
  --quoted.ttl;
  auto expected = error;
  expected.source = net().vip;
  expected.destination = net().member1;
  expected.data = quoted.ip_bytes();
  const auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_TRUE(same_frame(out.frame, sent_on(expected, member1_mac).bytes()));
}

TEST_P(Errors, AMembersOwnErrorReachesTheClientAsTheVips) {
  establish(protocol());
  const auto question = from_client(protocol(), ACK);
  auto error =
      icmp_error(net().member1, net().vip, unreachable(), 3, 0, at_member(question).ip_bytes());
  error.source_mac = member1_mac;
  error.destination_mac = lan_mac;
  auto quoted = question;
  --quoted.ttl;
  auto expected = error;
  expected.source = net().vip;
  expected.destination = net().client;
  expected.data = quoted.ip_bytes();
  const auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_TRUE(same_frame(out.frame, sent_on(expected, router_mac).bytes()));
}

TEST_P(Errors, EightBytesOfTheQuotedL4HeaderAreEnough) {
  establish(protocol());
  const std::size_t quote = (family() == 4 ? 20 : 40) + 8;
  const auto question = from_client(protocol(), ACK);
  auto error = icmp_error(net().router, net().vip, unreachable(), 1, 0,
                          cut(at_member(question).ip_bytes(), quote));
  error.source_mac = member1_mac;
  error.destination_mac = lan_mac;
  auto quoted = question;
  --quoted.ttl;
  auto expected = error;
  expected.source = net().vip;  // not the router, which the client need not know
  expected.destination = net().client;
  expected.data = cut(quoted.ip_bytes(), quote);
  EXPECT_TRUE(same_frame(receive(error).frame, sent_on(expected, router_mac).bytes()));
}

TEST_P(Errors, InDnatAnErrorAboutTheClientsPacketReachesTheClient) {
  use_mode(SLUICE_DNAT, protocol());
  establish(protocol(), 40000, true);
  const auto question = from_client(protocol(), ACK);
  auto error = icmp_error(net().member1, net().client, unreachable(), 3, 0,
                          at_member(question, 1, true).ip_bytes());
  error.source_mac = member1_mac;
  error.destination_mac = lan_mac;
  auto quoted = question;
  --quoted.ttl;
  auto expected = error;
  expected.source = net().vip;
  expected.data = quoted.ip_bytes();
  const auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_TRUE(same_frame(out.frame, sent_on(expected, router_mac).bytes()));
}

TEST_P(Errors, AnErrorAboutNoFlowOfOursIsDroppedForAVipAndPassesForOthers) {
  const auto quoted = at_client(from_member(1, protocol(), ACK)).ip_bytes();
  const auto for_vip =
      through_the_router(icmp_error(net().other_client, net().vip, unreachable(), 1, 0, quoted));
  EXPECT_EQ(receive(for_vip).reason, "icmp_no_flow");
  const auto for_other = through_the_router(
      icmp_error(net().other_client, net().somebody, unreachable(), 1, 0, quoted));
  const auto out = receive(for_other);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_TRUE(same_frame(out.frame, for_other.bytes()));
}

TEST_P(Errors, AQuoteThatIsCutShortIsMalformed) {
  establish(protocol());
  const auto whole = at_client(from_member(1, protocol(), ACK)).ip_bytes();
  for (const std::size_t length : {0UL, 8UL, 19UL, (family() == 4 ? 20UL : 40UL) + 7UL}) {
    const auto error = through_the_router(
        icmp_error(net().other_client, net().vip, unreachable(), 1, 0, cut(whole, length)));
    EXPECT_EQ(receive(error).reason, "malformed_icmp") << length;
  }
}

TEST_P(Errors, AnErrorWhoseTtlEndsHereGoesNowhere) {
  establish(protocol());
  auto error =
      through_the_router(icmp_error(net().other_client, net().vip, unreachable(), 1, 0,
                                    at_client(from_member(1, protocol(), ACK)).ip_bytes()));
  error.ttl = 1;
  EXPECT_EQ(receive(error).reason, "ttl_exceeded");
}

}  // namespace
}  // namespace sluice::test
