// How connections end, and when their slots are free again.
#include <ctime>

#include "packet/world.hpp"

namespace sluice::test {
namespace {

using Close = World;

TEST_F(Close, TwoFinsEndTheConnectionOnce) {
  establish();
  receive(from_client(FIN | ACK));
  EXPECT_EQ(listener_counters(0).flows_ended, 0U);
  receive(from_member(1, 40000, FIN | ACK));
  receive(from_member(1, 40000, FIN | ACK));  // a retransmission
  receive(from_client(ACK));
  EXPECT_EQ(listener_counters(0).flows_ended, 1U);
  EXPECT_EQ(listener_counters(0).flows_failed, 0U);
}

TEST_F(Close, ResetBeforeTheHandshakeIsAFailedConnection) {
  receive(from_client(SYN));
  const TcpFrame reset = from_member(1, 40000, RST | ACK);
  EXPECT_TRUE(same_frame(receive(reset).frame, at_client(reset).bytes()));
  EXPECT_EQ(member_counters(0).flows_ended, 1U);
  EXPECT_EQ(member_counters(0).flows_failed, 1U);
}

TEST_F(Close, LastAcknowledgementsStillReachThePeers) {
  establish();
  receive(from_client(FIN | ACK));
  receive(from_member(1, 40000, FIN | ACK));
  const TcpFrame last = from_client(ACK);
  EXPECT_TRUE(same_frame(receive(last).frame, at_member(last, 1, 40000).bytes()));
}

TEST_F(Close, SynOnAClosedConnectionsPortsOpensANewOneElsewhere) {
  ASSERT_EQ(establish(), 1);
  receive(from_client(FIN | ACK));
  receive(from_member(1, 40000, FIN | ACK));
  const TcpFrame syn = from_client(SYN);
  const Outcome out = receive(syn);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(syn, 2, 40000).bytes()));
  EXPECT_EQ(listener_counters(0).flows_opened, 2U);
  EXPECT_EQ(listener_counters(0).flows_ended, 1U);
}

TEST_F(Close, SynOnAnEstablishedConnectionIsTheMembersToJudge) {
  ASSERT_EQ(establish(), 1);
  const TcpFrame syn = from_client(SYN);
  const Outcome out = receive(syn);
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_TRUE(same_frame(out.frame, at_member(syn, 1, 40000).bytes()));
}

class Expiry : public World {
 protected:
  // Makes every flow look as if its last packet came `seconds` earlier than it did.
  void age_by_seconds(std::uint32_t seconds) {
    for (const Flow& flow : flows()) make_older(flow, seconds);
  }
  // The time that a test itself may take on a busy machine.
  static constexpr std::uint32_t margin = 10;
  // Idle times are counted in ticks and end up to two of them late.
  static constexpr std::uint32_t slack = margin + 5 * SLUICE_TICK_SECONDS;
};

TEST_F(Expiry, HalfOpenConnectionIsForgottenAfterAMinute) {
  receive(from_client(SYN));
  age_by_seconds(SLUICE_TIMEOUT_HALF_OPEN_SECONDS - margin);
  EXPECT_EQ(expire().live, 1U);
  age_by_seconds(slack);
  EXPECT_EQ(expire().expired, 1U);
  EXPECT_TRUE(flows().empty());
  EXPECT_EQ(member_counters(0).flows_failed, 1U);
}

TEST_F(Expiry, EstablishedConnectionMayBeSilentForTwoHours) {
  establish();
  age_by_seconds(SLUICE_TIMEOUT_ESTABLISHED_SECONDS - margin);
  EXPECT_EQ(expire().live, 1U);
  age_by_seconds(slack);
  const auto sweep = expire();
  EXPECT_EQ(sweep.expired, 1U);
  EXPECT_EQ(sweep.live, 0U);
  EXPECT_TRUE(flows().empty());
  EXPECT_EQ(listener_counters(0).flows_ended, 1U);
  EXPECT_EQ(listener_counters(0).flows_failed, 0U);
}

TEST_F(Expiry, TrafficInOneDirectionKeepsBothAlive) {
  establish();
  for (const Flow& flow : flows()) {
    if (flow.to_member()) make_older(flow, 2 * SLUICE_TIMEOUT_ESTABLISHED_SECONDS);
  }
  EXPECT_EQ(expire().live, 1U);
  EXPECT_EQ(flows().size(), 2U);
}

TEST_F(Expiry, ClosedConnectionGuardsItsPortForAMinute) {
  establish();
  receive(from_client(FIN | ACK));
  receive(from_member(1, 40000, FIN | ACK));
  age_by_seconds(SLUICE_TIMEOUT_CLOSED_SECONDS - margin);
  EXPECT_EQ(expire().expired, 0U);
  age_by_seconds(slack);
  EXPECT_EQ(expire().expired, 1U);
  EXPECT_EQ(listener_counters(0).flows_ended, 1U) << "it had been counted when it closed";
}

TEST_F(Expiry, APacketRenewsTheFlow) {
  establish();
  age_by_seconds(SLUICE_TIMEOUT_ESTABLISHED_SECONDS - margin);
  receive(from_client(ACK));
  age_by_seconds(slack);
  EXPECT_EQ(expire().live, 1U);
}

// Octavia's timeout_client_data and timeout_member_data, and our idle_timeout.
TEST_F(Expiry, AListenersOwnIdleTimeCountsForItsConnectionsAlsoForThoseThatAreThere) {
  establish();
  age_by_seconds(600 - margin);
  set_idle_time(0, 600);
  EXPECT_EQ(expire().live, 1U);
  age_by_seconds(slack);
  EXPECT_EQ(expire().expired, 1U);
  EXPECT_EQ(listener_counters(0).flows_ended, 1U);
}

TEST_F(Expiry, ALongerIdleTimeKeepsAConnectionLongerThanUsual) {
  set_idle_time(0, SLUICE_MAX_IDLE_SECONDS);
  establish();
  age_by_seconds(SLUICE_TIMEOUT_ESTABLISHED_SECONDS + slack);
  EXPECT_EQ(expire().live, 1U);
  age_by_seconds(SLUICE_MAX_IDLE_SECONDS - SLUICE_TIMEOUT_ESTABLISHED_SECONDS);
  EXPECT_EQ(expire().expired, 1U) << "the longest that there is can still be told from the future";
}

TEST_F(Expiry, AnotherListenersIdleTimeIsNotOurs) {
  set_idle_time(1, 1);
  establish();
  age_by_seconds(SLUICE_TIMEOUT_ESTABLISHED_SECONDS - margin);
  EXPECT_EQ(expire().live, 1U);
}

TEST_F(Expiry, AShortIdleTimeCountsForAHalfClosedConnectionAndALongOneDoesNot) {
  set_idle_time(0, SLUICE_MAX_IDLE_SECONDS);
  establish();
  receive(from_client(FIN | ACK));
  age_by_seconds(SLUICE_TIMEOUT_CLOSING_SECONDS - margin);
  EXPECT_EQ(expire().live, 1U);
  set_idle_time(0, 60);
  EXPECT_EQ(expire().expired, 1U);
}

TEST_F(Expiry, ASynFindsThePlaceFreeThatAListenersIdleTimeHasFreed) {
  set_idle_time(0, 60);
  establish();
  age_by_seconds(60 + slack);
  EXPECT_EQ(receive(from_client(SYN)).reason, "flow_created");
}

TEST_F(Expiry, NobodySweepsButASynFindsTheIdleFlowsPlaceFree) {
  establish();
  age_by_seconds(SLUICE_TIMEOUT_ESTABLISHED_SECONDS + slack);
  EXPECT_EQ(receive(from_client(SYN)).reason, "flow_created");
  EXPECT_EQ(flows().size(), 2U);
}

}  // namespace
}  // namespace sluice::test
