// Connections to a member that is down, whose pool resets them (on_member_down), and to one that
// was removed.
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class FailedMember : public BothFamilies {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    if (!IsSkipped()) establish();
  }
  // Does what the controller does when a member goes down: the ring goes on without it.
  void give_up(sluice_forwarding_mode mode = SLUICE_FULLNAT, L4 protocol = L4::tcp) {
    put_pool(pool(protocol), mode, {member_index(2, protocol)});
    put_member(member_index(1, protocol), net().member1, member_port(protocol), false,
               SLUICE_MEMBER_FAILED | SLUICE_MEMBER_GIVEN_UP | mode_flags(mode));
  }
  // Does what the controller does when the member is deleted; `down`: its monitor's last result.
  void remove(sluice_forwarding_mode mode = SLUICE_FULLNAT, L4 protocol = L4::tcp,
              std::uint32_t down = 0) {
    put_pool(pool(protocol), mode, {member_index(2, protocol)});
    put_member(member_index(1, protocol), net().member1, member_port(protocol), false,
               SLUICE_MEMBER_REMOVED | down | mode_flags(mode));
  }
  void expect_a_new_connection_elsewhere(const Packet& opening) {
    const auto out = receive(opening);
    EXPECT_EQ(out.reason, "flow_created");
    EXPECT_TRUE(same_frame(out.frame, at_member(opening, 2).bytes()));
    EXPECT_EQ(receive(opening).reason, "forwarded") << "and there it stays";
  }
  void bring_back() {
    put_member(member_index(1), net().member1, member_port(L4::tcp));
    put_pool(pool(), SLUICE_FULLNAT, {member_index(1), member_index(2)});
  }
  Packet next_segment() const {
    auto segment = from_client(L4::tcp, ACK);
    segment.acknowledgement = 12345;
    return segment;
  }
};
FOR_BOTH_FAMILIES(FailedMember);

TEST_P(FailedMember, TheClientsNextSegmentIsAnsweredWithAResetAndTheConnectionIsOver) {
  give_up();
  EXPECT_EQ(expire().live, 1U) << "it may live on, should the member come back before the client";
  auto expected = answer_to(next_segment(), RST);
  expected.sequence = 12345;  // what the client expects next (RFC 9293, 3.10.7.1)
  const auto out = receive(next_segment());
  EXPECT_EQ(out.reason, "rejected");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  EXPECT_EQ(member_counters(member_index(1)).flows_ended, 1U);
  EXPECT_EQ(flows().size() + flows6().size(), 0U);
  EXPECT_EQ(receive(next_segment()).reason, "no_flow");
}

TEST_P(FailedMember, ASynOfTheSameClientOpensANewConnectionElsewhere) {
  give_up();
  expire();
  const auto syn = from_client();
  const auto out = receive(syn);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(syn, 2).bytes()));
  EXPECT_EQ(member_counters(member_index(1)).flows_ended, 1U);
}

TEST_P(FailedMember, AConnectionThatWasIdleUntilTheMemberCameBackLivesOn) {
  give_up();
  expire();
  bring_back();
  for (int i = 0; i < 3; ++i) {
    const auto out = receive(next_segment());
    EXPECT_EQ(out.reason, "forwarded");
    EXPECT_TRUE(same_frame(out.frame, at_member(next_segment()).bytes()));
  }
  give_up();
  EXPECT_EQ(receive(next_segment()).reason, "forwarded") << "until the next sweep";
  expire();
  EXPECT_EQ(receive(next_segment()).reason, "rejected");
}

TEST_P(FailedMember, WhatTheMemberStillSendsReachesTheClient) {
  give_up();
  expire();
  const auto late = from_member(1, L4::tcp, ACK);
  const auto out = receive(late);
  EXPECT_EQ(out.reason, "replied");
  EXPECT_TRUE(same_frame(out.frame, at_client(late).bytes()));
}

TEST_P(FailedMember, WithoutTheFlagItsConnectionsLiveOn) {
  put_member(member_index(1), net().member1, 8080, false, SLUICE_MEMBER_FAILED);
  expire();
  EXPECT_EQ(receive(next_segment()).reason, "forwarded");
}

// Does what the controller does when the time of a drain is over; the member itself is up.
TEST_P(FailedMember, AMemberWhoseTimeToDrainIsOverLosesItsConnections) {
  establish(L4::udp);
  for (const L4 protocol : {L4::tcp, L4::udp}) {
    put_pool(pool(protocol), SLUICE_FULLNAT, {member_index(2, protocol)});
    put_member(member_index(1, protocol), net().member1, member_port(protocol), false);
  }
  EXPECT_EQ(expire().live, 2U) << "it is being drained";
  for (const L4 protocol : {L4::tcp, L4::udp}) {
    put_member(member_index(1, protocol), net().member1, member_port(protocol), false,
               SLUICE_MEMBER_GIVEN_UP);
  }
  EXPECT_EQ(expire().expired, 1U) << "the UDP session";
  EXPECT_EQ(receive(next_segment()).reason, "rejected");
  EXPECT_EQ(member_counters(member_index(1)).flows_ended, 1U);
  const auto datagram = from_client(L4::udp, ACK);
  const auto out = receive(datagram);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(datagram, 2).bytes()));
}

TEST_P(FailedMember, AMemberWhoseTimeToDrainIsOverIsResetWhenItSpeaksAndItsClientStill) {
  put_pool(pool(), SLUICE_FULLNAT, {member_index(2)});
  put_member(member_index(1), net().member1, 8080, false, SLUICE_MEMBER_GIVEN_UP);
  auto segment = from_member(1, L4::tcp, ACK);
  EXPECT_EQ(receive(segment).reason, "replied") << "until the sweep";
  expire();
  segment.acknowledgement = 777;
  auto expected = answer_to(segment, RST);
  expected.sequence = 777;
  const auto out = receive(segment);
  EXPECT_EQ(out.reason, "rejected");
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  EXPECT_EQ(receive(next_segment()).reason, "rejected");
  EXPECT_EQ(flows().size() + flows6().size(), 0U);
}

TEST_P(FailedMember, OtherMembersConnectionsAreLeftAlone) {
  auto other = from_client(L4::tcp, SYN, 40001);
  ASSERT_TRUE(same_frame(receive(other).frame, at_member(other, 2).bytes()));
  receive(from_member(2, L4::tcp, SYN | ACK, 40001));
  give_up();
  expire();
  other.flags = ACK;
  const auto out = receive(other);
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_TRUE(same_frame(out.frame, at_member(other, 2).bytes()));
}

TEST_P(FailedMember, AClientThatResetsItselfIsNotAnswered) {
  give_up();
  expire();
  auto reset = next_segment();
  reset.flags = RST | ACK;
  EXPECT_EQ(receive(reset).reason, "member_down");
  EXPECT_EQ(receive(next_segment()).reason, "no_flow") << "both know that it is over";
}

TEST_P(FailedMember, AClientThatCantBeToldNowIsToldNextTime) {
  give_up();
  expire();
  auto odd = next_segment();  // its headers must not be in the reset
  if (family() == 4) {
    odd.ip_options = {1, 1, 1, 1};
  } else {
    odd.extensions = {{0, 0, 1, 4, 0, 0, 0, 0}};
  }
  EXPECT_EQ(receive(odd).reason, "member_down");
  EXPECT_EQ(receive(next_segment()).reason, "rejected");
}

TEST_P(FailedMember, TheLastSegmentsOfAClosedConnectionStillReachIt) {
  receive(from_client(L4::tcp, FIN | ACK));
  receive(from_member(1, L4::tcp, FIN | ACK));
  give_up();
  expire();
  EXPECT_EQ(receive(next_segment()).reason, "forwarded");
}

TEST_P(FailedMember, SctpClientsAreToldThatThePortIsUnreachable) {
  establish(L4::sctp);
  give_up(SLUICE_FULLNAT, L4::sctp);
  expire();
  const auto chunk = from_client(L4::sctp, ACK);
  const auto out = receive(chunk);
  EXPECT_EQ(out.reason, "rejected");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_EQ(receive(chunk).reason, "no_flow");
}

TEST_P(FailedMember, TheVipResetsWhateverTheForwardingMode) {
  std::uint16_t port = 41000;
  for (const auto mode : {SLUICE_DNAT, SLUICE_DSR, SLUICE_IPIP}) {
    use_mode(mode);
    put_pool(pool(), mode, {member_index(1)});
    ASSERT_EQ(receive(from_client(L4::tcp, SYN, ++port)).reason, "flow_created");
    if (mode == SLUICE_DNAT) receive(from_member(1, L4::tcp, SYN | ACK, port, true));
    auto segment = from_client(L4::tcp, ACK, port);
    ASSERT_EQ(receive(segment).reason, "forwarded");
    give_up(mode);
    expire();
    auto expected = answer_to(segment, RST);
    expected.sequence = segment.acknowledgement;
    const auto out = receive(segment);
    EXPECT_EQ(out.reason, "rejected") << mode;
    EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  }
}

// kubernetes#84322: the client's host vanished, and its port is used again after the member was
// removed and its machine switched off.
TEST_P(FailedMember, ASynOnAConnectionOfARemovedMemberOpensANewOneElsewhere) {
  remove();
  EXPECT_EQ(expire().live, 1U);
  expect_a_new_connection_elsewhere(from_client());
  EXPECT_EQ(member_counters(member_index(1)).flows_ended, 1U);
}

TEST_P(FailedMember, ASynOnAConnectionThatThePoolKeepsOpensANewOneElsewhere) {
  put_pool(pool(), SLUICE_FULLNAT, {member_index(2)});
  put_member(member_index(1), net().member1, 8080, false, SLUICE_MEMBER_FAILED);
  expire();
  expect_a_new_connection_elsewhere(from_client());
}

TEST_P(FailedMember, ASynOnAConnectionOfADrainedMemberIsTheMembersToJudge) {
  put_pool(pool(), SLUICE_FULLNAT, {member_index(2)});
  put_member(member_index(1), net().member1, 8080, false);
  const auto syn = from_client();
  for (int i = 0; i < 3; ++i) {
    const auto out = receive(syn);
    EXPECT_EQ(out.reason, "forwarded");
    EXPECT_TRUE(same_frame(out.frame, at_member(syn).bytes()));
  }
}

TEST_P(FailedMember, AnInitOnAnAssociationOfARemovedMemberOpensANewOneElsewhere) {
  establish(L4::sctp);
  remove(SLUICE_FULLNAT, L4::sctp);
  expire();
  expect_a_new_connection_elsewhere(from_client(L4::sctp));
}

TEST_P(FailedMember, ASynOnAConnectionOfARemovedMemberOpensANewOneWhateverTheForwardingMode) {
  std::uint16_t port = 41000;
  for (const auto mode : {SLUICE_DNAT, SLUICE_DSR, SLUICE_IPIP}) {
    use_mode(mode);
    put_pool(pool(), mode, {member_index(1)});
    ASSERT_EQ(receive(from_client(L4::tcp, SYN, ++port)).reason, "flow_created");
    if (mode == SLUICE_DNAT) receive(from_member(1, L4::tcp, SYN | ACK, port, true));
    ASSERT_EQ(receive(from_client(L4::tcp, ACK, port)).reason, "forwarded");
    remove(mode);
    EXPECT_EQ(receive(from_client(L4::tcp, SYN, port)).reason, "flow_created") << mode;
  }
}

TEST_P(FailedMember, EstablishedConnectionsOfARemovedMemberLiveOn) {
  remove();
  expire();
  for (int i = 0; i < 3; ++i) {
    const auto out = receive(next_segment());
    EXPECT_EQ(out.reason, "forwarded");
    EXPECT_TRUE(same_frame(out.frame, at_member(next_segment()).bytes()));
    EXPECT_EQ(receive(from_member(1, L4::tcp, ACK)).reason, "replied");
  }
}

TEST_P(FailedMember, BothEndsOfAConnectionOfARemovedMemberAreResetWhenItsTimeIsOver) {
  remove(SLUICE_FULLNAT, L4::tcp, SLUICE_MEMBER_GIVEN_UP);
  EXPECT_EQ(receive(next_segment()).reason, "forwarded") << "until the sweep";
  expire();
  EXPECT_EQ(receive(from_member(1, L4::tcp, ACK)).reason, "rejected");
  EXPECT_EQ(receive(next_segment()).reason, "rejected");
  EXPECT_EQ(receive(next_segment()).reason, "no_flow");
}

// kubernetes#71358
TEST_P(FailedMember, RemovalDoesNotTakeThePromisedResetAway) {
  give_up();
  expire();
  remove(SLUICE_FULLNAT, L4::tcp, SLUICE_MEMBER_FAILED | SLUICE_MEMBER_GIVEN_UP);
  expire();
  EXPECT_EQ(receive(next_segment()).reason, "rejected");
  EXPECT_EQ(receive(next_segment()).reason, "no_flow");
}

// keepalived#2163, moby#36878: the client never stops sending, so the session is never idle.
TEST_P(FailedMember, UdpSessionsOfARemovedMemberLeaveItAtTheSweep) {
  for (const auto mode : {SLUICE_FULLNAT, SLUICE_DNAT}) {
    const bool keeps_client = mode == SLUICE_DNAT;
    use_mode(mode, L4::udp);
    put_pool(pool(L4::udp), mode, {member_index(1, L4::udp)});
    establish(L4::udp, 42000, keeps_client);
    remove(mode, L4::udp);
    EXPECT_EQ(expire().expired, 1U);
    const auto next = from_client(L4::udp, ACK, 42000);
    const auto out = receive(next);
    EXPECT_EQ(out.reason, "flow_created");
    EXPECT_TRUE(same_frame(out.frame, at_member(next, 2, keeps_client).bytes()));
    EXPECT_EQ(expire().expired, 0U) << "one that is alive keeps them";
    receive(from_member(2, L4::udp, ACK, 42000, keeps_client));
    remove(mode, L4::udp);
    put_member(member_index(2, L4::udp), net().member2, 8080, false,
               SLUICE_MEMBER_REMOVED | mode_flags(mode));
    EXPECT_EQ(expire().expired, 1U);
  }
}

// No monitor probes a disabled or drained member.
TEST_P(FailedMember, UdpSessionsOfADrainedMemberLeaveItWhenItIsSilent) {
  establish(L4::udp);
  put_pool(pool(L4::udp), SLUICE_FULLNAT, {member_index(2, L4::udp)});
  put_member(member_index(1, L4::udp), net().member1, 8080, false);
  make_members_silent(SLUICE_TIMEOUT_UDP_SECONDS - 10);
  EXPECT_EQ(expire().expired, 0U) << "it may be thinking";
  make_members_silent(6 * SLUICE_TICK_SECONDS);
  EXPECT_EQ(expire().expired, 1U);
}

TEST_P(FailedMember, ASynOnAConnectionOfADrainedMemberMovesOnWhenThatIsSilent) {
  put_pool(pool(), SLUICE_FULLNAT, {member_index(2)});
  put_member(member_index(1), net().member1, 8080, false);
  make_members_silent(SLUICE_TIMEOUT_UDP_SECONDS + 6 * SLUICE_TICK_SECONDS);
  expect_a_new_connection_elsewhere(from_client());
}

}  // namespace
}  // namespace sluice::test
