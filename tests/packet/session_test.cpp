// Connections of every protocol in both IP versions: opened, answered, carried on, ended.
#include <cstdlib>

#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

using Session = AllProtocols;
FOR_ALL_PROTOCOLS(Session);

TEST_P(Session, TheFirstPacketGoesToAMemberWithTheVipAsItsSource) {
  const auto first = from_client(protocol());
  const auto out = receive(first);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, at_member(first).bytes()));
}

TEST_P(Session, DnatKeepsTheClientsAddressBothWays) {
  use_mode(SLUICE_DNAT, protocol());
  const auto first = from_client(protocol());
  EXPECT_TRUE(same_frame(receive(first).frame, at_member(first, 1, true).bytes()));
  const auto answer = from_member(1, protocol(), SYN | ACK, 40000, true);
  const auto out = receive(answer);
  EXPECT_EQ(out.reason, "replied");
  EXPECT_TRUE(same_frame(out.frame, at_client(answer).bytes()));
}

TEST_P(Session, AnswersComeFromTheVip) {
  establish(protocol());
  const auto answer = from_member(1, protocol(), ACK);
  const auto out = receive(answer);
  EXPECT_EQ(out.reason, "replied");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, at_client(answer).bytes()));
}

TEST_P(Session, LaterPacketsStayWithTheMember) {
  establish(protocol());
  for (int i = 0; i < 3; ++i) {
    auto packet = from_client(protocol(), ACK);
    packet.data = text(std::string(static_cast<std::size_t>(i) * 7, 'x'));
    const auto out = receive(packet);
    EXPECT_EQ(out.reason, "forwarded");
    EXPECT_TRUE(same_frame(out.frame, at_member(packet).bytes()));
  }
  EXPECT_EQ(listener_counters(9).flows_opened, 1U);
}

// A frame may be in several buffers (multi-buffer XDP), of which only the first is linear memory.
TEST_P(Session, JumboFramesAreTranslatedWhole) {
  const auto set_mtu = [](int mtu) {
    return std::system(("ip link set lan1 mtu " + std::to_string(mtu) +
                        " && ip link set lan0 mtu " + std::to_string(mtu))
                           .c_str());
  };
  ASSERT_EQ(set_mtu(9000), 0);
  establish(protocol());
  auto large = from_client(protocol(), ACK);
  large.data = Bytes(8000, 'x');
  auto out = receive(large);
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_TRUE(same_frame(out.frame, at_member(large).bytes()));
  auto answer = from_member(1, protocol(), ACK);
  answer.data = Bytes(8001, 'y');
  out = receive(answer);
  EXPECT_EQ(out.reason, "replied");
  EXPECT_TRUE(same_frame(out.frame, at_client(answer).bytes()));
  EXPECT_EQ(set_mtu(1500), 0);
}

TEST_P(Session, ASecondClientGoesToTheOtherMember) {
  receive(from_client(protocol()));
  const auto second = from_client(protocol(), SYN, 40001);
  EXPECT_TRUE(same_frame(receive(second).frame, at_member(second, 2).bytes()));
}

TEST_P(Session, ChecksumsStayRightWhateverCarries) {
  use_mode(SLUICE_FULLNAT, protocol(), {net().member1});
  for (std::uint32_t i = 0; i < 40; ++i) {
    const auto port = static_cast<std::uint16_t>(1024 + i * 1607);
    auto packet = from_client(protocol(), SYN, port);
    packet.sequence = i * 0x06060606U;
    packet.data = Bytes(i, static_cast<std::uint8_t>(0xff - i));
    packet.ttl = static_cast<std::uint8_t>(255 - i);
    EXPECT_TRUE(same_frame(receive(packet).frame, at_member(packet).bytes())) << port;
    auto answer = from_member(1, protocol(), SYN | ACK, port);
    answer.data = Bytes(i, 0xff);
    EXPECT_TRUE(same_frame(receive(answer).frame, at_client(answer, port).bytes())) << port;
  }
}

TEST_P(Session, AMemberBehindAGatewayOnAnotherNicIsReachedThroughBoth) {
  use_mode(SLUICE_FULLNAT, protocol(), {net().far_member});
  const auto first = from_client(protocol());
  auto expected = at_member(first);
  expected.destination = net().far_member;
  expected.source_mac = dmz_mac;
  expected.destination_mac = dmz_gateway_mac;
  const auto out = receive(first);
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_REDIRECT));
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  auto answer = from_member(1, protocol());
  answer.source = net().far_member;
  answer.source_mac = dmz_gateway_mac;
  answer.destination_mac = dmz_mac;
  EXPECT_TRUE(same_frame(receive(answer, "dmz0").frame, at_client(answer).bytes()));
}

TEST_P(Session, APacketCutShortIsDroppedAndNothingIsOpened) {
  auto whole = from_client(protocol());
  whole.data = {};
  const auto bytes = whole.bytes();
  const std::size_t begin = family() == 4 ? 34 : 54;
  for (std::size_t length = begin; length < bytes.size(); ++length) {
    auto frame = cut(bytes, length);
    // The IP header is right about the rest.
    const auto left = length - 14;
    if (family() == 4) {
      frame[17] = static_cast<std::uint8_t>(left);
    } else {
      frame[19] = static_cast<std::uint8_t>(left - 40);
    }
    const auto out = receive(frame);
    EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_DROP)) << length << ": " << out.reason;
    EXPECT_TRUE(out.reason.starts_with("malformed_")) << length << ": " << out.reason;
  }
  EXPECT_EQ(listener_counters(9).flows_opened, 0U);
}

TEST_P(Session, SomebodyElsesPacketPassesUntouched) {
  auto packet = from_client(protocol());
  packet.destination = net().somebody;
  const auto out = receive(packet);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_TRUE(same_frame(out.frame, packet.bytes()));
}

TEST_P(Session, PacketsAndBytesAreCounted) {
  establish(protocol());
  const auto bytes = from_client(protocol()).bytes().size();
  const auto answer_bytes =
      from_member(1, protocol()).bytes().size() + from_member(1, protocol(), ACK).bytes().size();
  for (const auto& counted : {listener_counters(9), member_counters(member_index(1, protocol()))}) {
    EXPECT_EQ(counted.packets_in, 2U);
    EXPECT_EQ(counted.bytes_in, 2 * bytes);
    EXPECT_EQ(counted.packets_out, 2U);
    EXPECT_EQ(counted.bytes_out, answer_bytes);
    EXPECT_EQ(counted.flows_opened, 1U);
    EXPECT_EQ(counted.flows_ended, 0U);
  }
}

// In dnat a client's connection to a VIP and one from the same port to the member itself are the
// same at the member, which could not tell them apart, and the answers of both would come from the
// VIP.
TEST_P(Session, InDnatASecondConnectionToTheMembersOwnAddressIsRefusedAtOnce) {
  use_mode(SLUICE_DNAT, protocol());
  establish(protocol(), 40000, true);
  const auto to_member = [&](std::uint8_t flags, std::uint16_t port) {
    auto packet = from_client(protocol(), flags, port);
    packet.destination = net().member1;
    packet.destination_port = member_port(protocol());
    return packet;
  };
  const auto opening = to_member(SYN, 40000);
  const auto out = receive(opening);
  EXPECT_EQ(out.reason, "rejected");
  EXPECT_EQ(out.action, transmitted);
  if (protocol() == L4::tcp) {
    auto reset = answer_to(opening, RST | ACK);
    reset.acknowledgement = opening.sequence + 1 + static_cast<std::uint32_t>(opening.data.size());
    EXPECT_TRUE(same_frame(out.frame, reset.bytes()));
  }
  EXPECT_EQ(receive(to_member(SYN, 40001)).reason, "not_ours") << "from another port";
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded") << "the first one goes on";
}

TEST_P(Session, InDnatAConnectionThatIsOverMakesWayForOneToTheMembersOwnAddress) {
  if (protocol() != L4::tcp) return;
  use_mode(SLUICE_DNAT, protocol());
  establish(protocol(), 40000, true);
  receive(from_client(protocol(), FIN | ACK));
  receive(from_member(1, protocol(), FIN | ACK, 40000, true));
  auto opening = from_client(protocol(), SYN);
  opening.destination = net().member1;
  opening.destination_port = member_port(protocol());
  const auto out = receive(opening);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_TRUE(same_frame(out.frame, opening.bytes()));
  EXPECT_EQ(receive(from_member(1, protocol(), SYN | ACK, 40000, true)).reason, "not_ours");
}

using Sessions = BothFamilies;
FOR_BOTH_FAMILIES(Sessions);
class Ipv4Sessions : public Sessions {};
FOR_FAMILY(Ipv4Sessions, 4);
class Ipv6Sessions : public Sessions {};
FOR_FAMILY(Ipv6Sessions, 6);

TEST_P(Sessions, APrivilegedUdpPortStaysTheClientsOwn) {
  const auto packet = from_client(L4::udp, 0, 53);
  EXPECT_TRUE(same_frame(receive(packet).frame, at_member(packet).bytes()));
}

TEST_P(Sessions, SctpKeepsItsPortsAndRefusesWhatCouldNotBeToldApart) {
  use_mode(SLUICE_FULLNAT, L4::sctp, {net().member1});
  const auto first = from_client(L4::sctp, SYN, 80);
  EXPECT_TRUE(same_frame(receive(first).frame, at_member(first).bytes()));
  auto same_port = first;
  same_port.source = net().other_client;
  EXPECT_EQ(receive(same_port).reason, "no_port");
}

// A port that can't be translated goes to the client that needs it now, not to one that may be
// gone.
TEST_P(Sessions, AnSctpPortIsTakenFromAnAssociationThatIsOverOrWaitsForItsClientTooLong) {
  use_mode(SLUICE_FULLNAT, L4::sctp, {net().member1});
  const auto claim = [&](const char* source, int last) {
    auto init = from_client(L4::sctp, SYN, 80);
    init.source = source + std::to_string(last);
    return receive(init).reason;
  };
  const char* net_of_clients = family() == 4 ? "198.51.100." : "2001:db8:d::";
  EXPECT_EQ(claim(net_of_clients, 1), "flow_created");
  EXPECT_EQ(claim(net_of_clients, 2), "no_port") << "the first one may be answering";
  auto refusal = from_member(1, L4::sctp, RST, 80);
  refusal.chunk = 6;  // ABORT
  receive(refusal);
  EXPECT_EQ(claim(net_of_clients, 2), "flow_created") << "the member refused the first one";
  make_all_older(4 * SLUICE_TICK_SECONDS);
  EXPECT_EQ(claim(net_of_clients, 3), "flow_created");
}

// A member in TIME_WAIT answers a SYN whose number is behind the old connection's by a challenge
// (RFC 9293, 3.10.7.4), which its client resets before it sends the SYN again.
TEST_P(Sessions, AMembersChallengeTheClientsResetAndItsNextSynGoTheSameWay) {
  const auto syn = from_client();
  ASSERT_EQ(receive(syn).reason, "flow_created");
  auto challenge = from_member(1, L4::tcp, ACK);
  challenge.data = {};
  EXPECT_TRUE(same_frame(receive(challenge).frame, at_client(challenge).bytes()));
  auto reset = from_client(L4::tcp, RST);
  reset.data = {};
  EXPECT_TRUE(same_frame(receive(reset).frame, at_member(reset).bytes()));
  EXPECT_TRUE(same_frame(receive(syn).frame, at_member(syn).bytes()));
  const auto accepted = from_member();
  EXPECT_TRUE(same_frame(receive(accepted).frame, at_client(accepted).bytes()));
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "forwarded");
}

TEST_P(Sessions, AnSctpMemberOnAnotherPortIsRefused) {
  put_member(member_index(1, L4::sctp), net().member1, 5001);
  EXPECT_EQ(receive(from_client(L4::sctp)).reason, "sctp_ports");
}

TEST_P(Sessions, SctpWithoutInitOpensNothing) {
  EXPECT_EQ(receive(from_client(L4::sctp, ACK)).reason, "no_flow");
}

TEST_P(Sessions, AnInitAfterAnAbortGoesToTheMemberThatKnowsWhetherItWasRight) {
  establish(L4::sctp);
  auto abort = from_client(L4::sctp, ACK);
  abort.chunk = 6;
  EXPECT_EQ(receive(abort).reason, "forwarded");
  EXPECT_EQ(listener_counters(9).flows_ended, 1U);
  const auto init = from_client(L4::sctp);
  EXPECT_TRUE(same_frame(receive(init).frame, at_member(init).bytes()));
}

TEST_P(Ipv4Sessions, UdpWithoutChecksumStaysWithout) {
  use_mode(SLUICE_FULLNAT, L4::udp, {net().member1});
  auto packet = from_client(L4::udp);
  packet.checksum = 0;
  EXPECT_TRUE(same_frame(receive(packet).frame, at_member(packet).bytes()));
  establish(L4::udp, 40002);
  auto later = from_client(L4::udp, ACK, 40002);
  later.checksum = 0;
  EXPECT_TRUE(same_frame(receive(later).frame, at_member(later).bytes()));
}

TEST_P(Sessions, AUdpChecksumThatComesOutAsZeroIsWrittenAsAllOnes) {
  use_mode(SLUICE_FULLNAT, L4::udp, {net().member1});
  auto packet = from_client(L4::udp);
  packet.data = {0, 0};
  // The two bytes that make the member's sum come out as zero.
  const auto sum = at_member(packet).l4_bytes();
  packet.data = {sum[6], sum[7]};
  const auto expected = at_member(packet);
  ASSERT_EQ(expected.l4_bytes()[6], 0xff);
  ASSERT_EQ(expected.l4_bytes()[7], 0xff);
  EXPECT_TRUE(same_frame(receive(packet).frame, expected.bytes()));
}

TEST_P(Sessions, AUdpSessionThatIsIdleEndsAndOneInUseDoesNot) {
  establish(L4::udp);
  EXPECT_EQ(expire().expired, 0U);
  EXPECT_EQ(expire().live, 1U);
}

// RFC 4787, REQ-5: SIP phones and the like keep a session alive with a packet every minute or so.
TEST_P(Sessions, AUdpSessionLivesTwoMinutesOnceBothSidesHaveSpoken) {
  establish(L4::udp);
  make_all_older(118);
  EXPECT_EQ(expire().expired, 0U);
  EXPECT_EQ(receive(from_client(L4::udp, ACK)).reason, "forwarded");
  make_all_older(120 + 5 * SLUICE_TICK_SECONDS);
  EXPECT_EQ(expire().expired, 1U);
  receive(from_client(L4::udp, ACK, 40007));
  make_all_older(SLUICE_TIMEOUT_UDP_SECONDS + 5 * SLUICE_TICK_SECONDS);
  EXPECT_EQ(expire().expired, 1U) << "one that nobody answered";
}

TEST_P(Sessions, AListenersIdleTimeIsThatOfUdpSessionsToo) {
  constexpr std::uint32_t own = 900;
  constexpr std::uint32_t listener = 9;  // of those that traffic.cpp makes
  set_idle_time(listener, own);
  establish(L4::udp);
  make_all_older(own - 10);
  EXPECT_EQ(expire().live, 1U);
  make_all_older(10 + 5 * SLUICE_TICK_SECONDS);
  EXPECT_EQ(expire().expired, 1U);
  receive(from_client(L4::udp, ACK, 40007));
  make_all_older(SLUICE_TIMEOUT_UDP_SECONDS + 5 * SLUICE_TICK_SECONDS);
  EXPECT_EQ(expire().expired, 1U) << "nobody answered: a long time is not for whoever sends once";
}

// An idle time of a day, which is more than the stamps of a flow tell: the sweep counts laps.
class LongSilence : public Sessions {
 protected:
  // 35 times that is a bit less than a day.
  static constexpr std::uint32_t part = 307 * SLUICE_TICK_SECONDS;
  static constexpr std::uint32_t parts = SLUICE_MAX_LONG_IDLE_SECONDS / part;
  static constexpr std::uint32_t rest =
      SLUICE_MAX_LONG_IDLE_SECONDS % part + 5 * SLUICE_TICK_SECONDS;
  static constexpr std::uint32_t listener = 9;  // of those that traffic.cpp makes

  void SetUp() override {
    Sessions::SetUp();
    set_idle_time(listener, SLUICE_MAX_LONG_IDLE_SECONDS);
  }
  // Lets time pass, with the sweeps that there are meanwhile. Returns how many flows they removed.
  std::uint32_t sleep(std::uint32_t times, std::uint32_t seconds = part) {
    std::uint32_t expired = 0;
    for (std::uint32_t i = 0; i < times; ++i) {
      make_all_older(seconds);
      expired += expire().expired;
    }
    return expired;
  }
  void expect_end_after_a_day() {
    EXPECT_EQ(sleep(parts), 0U);
    EXPECT_EQ(sleep(1, rest), 1U);
    EXPECT_EQ(listener_counters(listener).flows_ended, 1U);
  }
};
FOR_BOTH_FAMILIES(LongSilence);

TEST_P(LongSilence, EndsAConnectionAfterADay) {
  establish(L4::tcp);
  expect_end_after_a_day();
}

TEST_P(LongSilence, IsCountedAnewFromThePacketOfEitherEnd) {
  establish(L4::tcp);
  EXPECT_EQ(sleep(parts), 0U);
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "forwarded");
  EXPECT_EQ(sleep(parts), 0U);
  EXPECT_EQ(receive(from_member(1, L4::tcp, ACK)).reason, "replied");
  expect_end_after_a_day();
}

TEST_P(LongSilence, IsCountedAnewFromPacketsOfBothEndsInOneTick) {
  establish(L4::tcp);
  EXPECT_EQ(sleep(parts), 0U);
  receive(from_client(L4::tcp, ACK));
  receive(from_member(1, L4::tcp, ACK));
  expect_end_after_a_day();
}

TEST_P(LongSilence, OfOneEndEndsNothingHoweverLongItIs) {
  establish(L4::tcp);
  for (std::uint32_t i = 0; i < 2 * parts; ++i) {
    receive(from_client(L4::tcp, ACK));
    ASSERT_EQ(sleep(1), 0U);
  }
  for (std::uint32_t i = 0; i < 2 * parts; ++i) {
    receive(from_member(1, L4::tcp, ACK));
    ASSERT_EQ(sleep(1), 0U);
  }
  receive(from_member(1, L4::tcp, ACK));
  expect_end_after_a_day();
}

TEST_P(LongSilence, EndsAtOnceWhereTheListenersIdleTimeIsShortenedMeanwhile) {
  establish(L4::tcp);
  EXPECT_EQ(sleep(20), 0U);
  set_idle_time(listener, 86'400 / 4);
  EXPECT_EQ(expire().expired, 1U);
  EXPECT_EQ(expire().live, 0U);
}

TEST_P(LongSilence, IsTheSameForUdp) {
  establish(L4::udp);
  expect_end_after_a_day();
}

TEST_P(LongSilence, OfBothEndsIsNotThatOfADrainedMember) {
  establish(L4::udp);
  put_member(member_index(1, L4::udp), net().member1, 8080, false);
  expect_end_after_a_day();
}

TEST_P(LongSilence, EndsWithResetsIfTheListenerSaysSo) {
  set_idle_time(listener, SLUICE_MAX_LONG_IDLE_SECONDS | SLUICE_IDLE_RESETS);
  establish(L4::tcp);
  EXPECT_EQ(sleep(parts), 0U);
  EXPECT_EQ(sleep(1, rest), 0U) << "it is kept, because its ends are still to be told";
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "rejected");
  EXPECT_EQ(receive(from_member(1, L4::tcp, ACK)).reason, "rejected");
  EXPECT_EQ(sleep(1, SLUICE_TIMEOUT_OVER_SECONDS + 5 * SLUICE_TICK_SECONDS), 1U);
}

// The stamps of the only slot tell no more.
TEST_P(LongSilence, OfAClientWhoseMemberAnswersDirectlyEndsSoonerThoughWithResets) {
  set_idle_time(listener, SLUICE_MAX_LONG_IDLE_SECONDS | SLUICE_IDLE_RESETS);
  use_mode(SLUICE_DSR, L4::tcp);
  receive(from_client(L4::tcp, SYN));
  receive(from_client(L4::tcp, ACK));
  EXPECT_EQ(sleep(SLUICE_MAX_IDLE_SECONDS / part), 0U);
  EXPECT_EQ(sleep(1, SLUICE_MAX_IDLE_SECONDS % part + 10 * SLUICE_TICK_SECONDS), 1U);
}

// A listener whose idle time ends with resets (on_idle).
class IdleReset : public Sessions {
 protected:
  static constexpr std::uint32_t idle = 600;
  static constexpr std::uint32_t late = 5 * SLUICE_TICK_SECONDS;
  static constexpr std::uint32_t listener = 9;  // of those that traffic.cpp makes

  void SetUp() override {
    Sessions::SetUp();
    if (IsSkipped()) return;
    set_idle_time(listener, idle | SLUICE_IDLE_RESETS);
    establish(L4::tcp);
    make_all_older(idle + late);
  }
  // Expects that the segment, which acknowledges `number`, is answered with a reset of this number.
  void expect_reset(Packet segment, std::uint32_t number) {
    segment.acknowledgement = number;
    auto expected = answer_to(segment, RST);
    expected.sequence = number;
    const auto out = receive(segment);
    EXPECT_EQ(out.reason, "rejected");
    EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_TX));
    EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  }
};
FOR_BOTH_FAMILIES(IdleReset);

TEST_P(IdleReset, ResetsEitherEndWhenItSpeaksAndThenForgetsTheConnection) {
  const auto swept = expire();
  EXPECT_EQ(swept.live, 1U) << "it is kept, because its ends are still to be told";
  EXPECT_EQ(swept.expired, 0U);
  expect_reset(from_client(L4::tcp, ACK), 12345);
  expect_reset(from_member(1, L4::tcp, ACK), 777);
  expect_reset(from_client(L4::tcp, ACK), 12345);  // its first reset may be lost
  EXPECT_EQ(receive(from_client(L4::tcp, RST)).reason, "no_flow") << "a reset is not answered";
  make_all_older(SLUICE_TIMEOUT_OVER_SECONDS + late);
  EXPECT_EQ(expire().expired, 1U);
  EXPECT_EQ(listener_counters(listener).flows_ended, 1U);
  EXPECT_EQ(flows().size() + flows6().size(), 0U);
}

TEST_P(IdleReset, ForgetsAConnectionWhoseMemberIsGivenUpToo) {
  put_member(member_index(1, L4::tcp), net().member1, 8080, false,
             SLUICE_MEMBER_FAILED | SLUICE_MEMBER_GIVEN_UP);
  EXPECT_EQ(expire().live, 1U);
  make_all_older(SLUICE_TIMEOUT_OVER_SECONDS + late);
  EXPECT_EQ(expire().expired, 1U);
}

TEST_P(IdleReset, LetsTheConnectionGoOnIfAnEndSpeaksBeforeTheSweep) {
  EXPECT_EQ(receive(from_member(1, L4::tcp, ACK)).reason, "replied");
  expire();
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "forwarded");
  EXPECT_EQ(receive(from_member(1, L4::tcp, ACK)).reason, "replied");
}

TEST_P(IdleReset, LetsTheConnectionGoOnIfTheIdleTimeIsLongerByThen) {
  expire();
  set_idle_time(listener, 86'400 | SLUICE_IDLE_RESETS);
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "forwarded");
  EXPECT_EQ(receive(from_member(1, L4::tcp, ACK)).reason, "replied");
}

TEST_P(IdleReset, LetsASynOpenANewConnection) {
  expire();
  EXPECT_EQ(receive(from_client(L4::tcp, SYN)).reason, "flow_created");
}

TEST_P(IdleReset, ForgetsUdpSessionsAtOnce) {
  establish(L4::udp);
  make_all_older(idle + late);
  EXPECT_GE(expire().expired, 1U);
  EXPECT_EQ(receive(from_client(L4::udp, 0)).reason, "flow_created");
}

TEST_P(Sessions, UdpFlowsOfAFailedMemberLeaveItAtTheSweepAndTcpOnesStay) {
  establish(L4::udp);
  establish(L4::tcp);
  for (const L4 protocol : {L4::udp, L4::tcp}) {
    put_member(member_index(1, protocol), net().member1, 8080, false, SLUICE_MEMBER_FAILED);
    put_pool(pool(protocol), SLUICE_FULLNAT, {member_index(2, protocol)});
  }
  EXPECT_EQ(expire().expired, 1U);
  const auto next = from_client(L4::udp, ACK);
  const auto out = receive(next);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(next, 2).bytes()));
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "forwarded");
}

TEST_P(Sessions, AnUnansweredUdpClientMovesOnWhenItsMemberIsEvicted) {
  receive(from_client(L4::udp));
  put_member(member_index(1, L4::udp), net().member1, 8080, false);
  put_pool(pool(L4::udp), SLUICE_FULLNAT, {member_index(2, L4::udp)});
  const auto again = from_client(L4::udp);
  const auto out = receive(again);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(again, 2).bytes()));
}

TEST_P(Sessions, ExtensionHeadersAndOptionsAreWalkedOver) {
  auto packet = from_client();
  if (family() == 4) {
    packet.ip_options = {1, 1, 1, 1};
  } else {
    packet.extensions = {{0, 0, 1, 4, 0, 0, 0, 0}, {60, 0, 1, 4, 0, 0, 0, 0}};
  }
  const auto out = receive(packet);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(packet).bytes()));
}

TEST_P(Ipv6Sessions, TooManyExtensionHeadersAreNotBalanced) {
  auto packet = from_client();
  for (int i = 0; i < 7; ++i) packet.extensions.push_back({60, 0, 1, 4, 0, 0, 0, 0});
  EXPECT_EQ(receive(packet).reason, "unsupported_protocol");
}

TEST_P(Sessions, LengthsThatLieAreDropped) {
  auto frame = from_client().bytes();
  const std::size_t version = 14;
  const std::string label = family() == 4 ? "malformed_ipv4" : "malformed_ipv6";
  auto wrong_version = frame;
  wrong_version[version] = static_cast<std::uint8_t>((wrong_version[version] & 0x0f) | 0x50);
  EXPECT_EQ(receive(wrong_version).reason, label);
  auto too_long = frame;
  ++too_long[family() == 4 ? 17 : 19];
  EXPECT_EQ(receive(too_long).reason, label);
}

TEST_P(Sessions, SourcesThatNoClientHasAreDropped) {
  const std::vector<std::string> sources =
      family() == 4 ? std::vector<std::string>{"0.0.0.0", "127.0.0.1", "224.0.0.5", net().vip}
                    : std::vector<std::string>{"::", "::1", "ff02::1", net().vip};
  for (const auto& source : sources) {
    auto packet = from_client();
    packet.source = source;
    EXPECT_EQ(receive(packet).reason, "martian_source") << source;
  }
}

TEST_P(Sessions, APortWithoutListenerAndADisabledVipDrop) {
  auto packet = from_client();
  packet.destination_port = 81;
  EXPECT_EQ(receive(packet).reason, "no_listener");
  put_vip(net().vip, false);
  EXPECT_EQ(receive(from_client()).reason, "vip_down");
}

TEST_P(Sessions, AnotherProtocolIsNotBalanced) {
  auto packet = from_client();
  packet.protocol = static_cast<L4>(47);
  EXPECT_EQ(receive(packet).reason, "unsupported_protocol");
}

}  // namespace
}  // namespace sluice::test
