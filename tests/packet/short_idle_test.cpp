// Idle times of up to a minute, which the short sweep measures by marks in the flows' slots.
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

// The listeners' connections may be silent for 40 seconds. The clock is slow, so a test takes none
// of them.
class ShortIdle : public AllProtocols {
 protected:
  static constexpr std::uint32_t idle = 40;
  static constexpr std::uint32_t listener = 9;  // of those that traffic.cpp makes

  void SetUp() override {
    AllProtocols::SetUp();
    if (IsSkipped()) return;
    set_idle_time(listener, idle);
  }

  // Of a tick of 2^16 jiffies, eight seconds. The first one may have been over at once.
  static constexpr std::uint32_t sixteenths(std::uint32_t seconds) {
    return (seconds * slow_clock + 4095) / 4096 + 1;
  }
  // Lets time pass since the last short sweep, up to the next one.
  std::uint32_t expired_after(std::uint32_t sixteenths) {
    make_marks_older(sixteenths);
    return expire_short().expired;
  }
  std::size_t slots() { return flows().size() + flows6().size(); }
};
FOR_ALL_PROTOCOLS(ShortIdle);

TEST_P(ShortIdle, EndsAConnectionWhenItIsOverAndNoSooner) {
  establish(protocol());
  const auto first = expire_short();
  EXPECT_EQ(first.marked, 2U);
  EXPECT_EQ(first.expired, 0U);
  EXPECT_EQ(expired_after(sixteenths(idle) - 1), 0U);
  EXPECT_EQ(expired_after(1), 1U);
  EXPECT_EQ(slots(), 0U);
  EXPECT_EQ(listener_counters(listener).flows_ended, 1U);
  EXPECT_EQ(expire_short().marked, 0U);
}

TEST_P(ShortIdle, IsCountedAnewFromAPacketOfEitherEnd) {
  constexpr std::uint32_t short_idle = 15;  // all of it is told by one mark
  set_idle_time(listener, short_idle);
  establish(protocol());
  expire_short();
  EXPECT_EQ(expired_after(sixteenths(short_idle) - 1), 0U);
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
  EXPECT_EQ(expired_after(1), 0U) << "the member's silence alone ends nothing";
  EXPECT_EQ(expired_after(sixteenths(short_idle) - 1), 0U);
  EXPECT_EQ(receive(from_member(1, protocol(), ACK)).reason, "replied");
  EXPECT_EQ(expired_after(1), 0U) << "neither does the client's";
  EXPECT_EQ(expired_after(sixteenths(short_idle) - 1), 0U);
  EXPECT_EQ(expired_after(1), 1U);
}

TEST_P(ShortIdle, LeavesTheWayOfAConnectionsPacketsAsItWas) {
  establish(protocol());
  receive(from_client(protocol(), ACK));
  receive(from_member(1, protocol(), ACK));
  const auto way = [this] {
    std::vector<std::uint64_t> states;
    change_states([&](__u64& state) { states.push_back(state & SLUICE_STATE_CLEAR(SEEN)); });
    return states;
  };
  const auto before = way();
  expire_short();
  EXPECT_EQ(way(), before);
  receive(from_client(protocol(), ACK));
  EXPECT_EQ(expire_short().marked, 2U);
  EXPECT_EQ(way(), before);
}

TEST_P(ShortIdle, OfAnotherListenerIsNotOurs) {
  set_idle_time(listener, 0);
  set_idle_time(listener + 1, idle);
  establish(protocol());
  EXPECT_EQ(expire_short().marked, 0U);
}

TEST_P(ShortIdle, IsForgottenWhenTheListenersIdleTimeIsLongAgain) {
  establish(protocol());
  expire_short();
  make_marks_older(100);
  set_idle_time(listener, 600);
  const auto swept = expire_short();
  EXPECT_EQ(swept.marked, 0U);
  EXPECT_EQ(swept.expired, 0U);
  // The slots are as old as they were: six ticks and a quarter.
  change_states([&](__u64& state) {
    const auto age = sluice_flow_stamp_age(state, tick());
    EXPECT_GE(age, 6U);
    EXPECT_LE(age, 7U);
  });
  EXPECT_EQ(expire().live, 1U);
  make_all_older(2 * 600);  // the clock is not the kernel's
  EXPECT_EQ(expire().expired, 1U);
}

TEST_P(ShortIdle, OfTheUsualSweepEndsNothingSooner) {
  establish(protocol());
  expire_short();
  make_marks_older(sixteenths(idle) - 1);
  EXPECT_EQ(expire().expired, 0U);
  EXPECT_EQ(expire_short().expired, 0U);
}

TEST_P(ShortIdle, EndsNoConnectionWhosePacketsGoThroughAnotherNode) {
  establish(protocol());
  change_states([](__u64& state) {
    if (!(state & SLUICE_FLOW_TO_CLIENT))
      state = (state & ~SLUICE_PHASE_BITS) | SLUICE_PHASE_REPLICA;
  });
  expire_short();
  EXPECT_EQ(expired_after(sixteenths(idle) + 5), 0U) << "its own time is half as long again";
}

// Only a part of these has a phase for it.
class ShortIdleOfTcp : public ShortIdle {};
INSTANTIATE_TEST_SUITE_P(, ShortIdleOfTcp,
                         ::testing::Combine(::testing::Values(4, 6), ::testing::Values(L4::tcp)),
                         family_and_protocol);

TEST_P(ShortIdleOfTcp, IsThatOfAHalfClosedConnectionToo) {
  establish(protocol());
  receive(from_client(protocol(), FIN | ACK));
  expire_short();
  EXPECT_EQ(expired_after(sixteenths(idle) - 1), 0U);
  EXPECT_EQ(expired_after(1), 1U);
}

// Longer than marks tell: they become stamps again, and the usual sweep ends it.
TEST_P(ShortIdleOfTcp, IsNotThatOfAHalfOpenConnection) {
  receive(from_client(protocol(), SYN));
  EXPECT_EQ(expire_short().marked, 2U);
  EXPECT_EQ(expired_after(SLUICE_MARK_LONGEST), 0U);
  make_marks_older(1);
  EXPECT_EQ(expire_short().marked, 0U);
  EXPECT_EQ(expire().live, 1U);
  make_all_older(60);  // the clock is not the kernel's, and a part of a tick is not counted
  EXPECT_EQ(expire().expired, 1U);
}

// The stamps of a connection that was silent while no short sweep ran say what they can.
TEST_P(ShortIdleOfTcp, CountsWhatWasSilentBeforeTheFirstShortSweep) {
  establish(protocol());
  make_all_older(idle);
  EXPECT_EQ(expire_short().expired, 0U) << "its last tick may have been all but over";
  make_all_older(idle);
  EXPECT_EQ(expire_short().expired, 1U);
}

TEST_P(ShortIdleOfTcp, EndsWithResetsIfTheListenerSaysSo) {
  set_idle_time(listener, idle | SLUICE_IDLE_RESETS);
  establish(protocol());
  expire_short();
  make_marks_older(sixteenths(idle) - 1);
  EXPECT_EQ(expire_short().over, 0U);
  make_marks_older(1);
  const auto swept = expire_short();
  EXPECT_EQ(swept.over, 1U);
  EXPECT_EQ(swept.expired, 0U) << "it is kept, because its ends are still to be told";
  EXPECT_EQ(expire_short().over, 0U) << "it is over only once";
  EXPECT_EQ(expire().live, 1U);
  for (auto segment : {from_client(protocol(), ACK), from_member(1, protocol(), ACK)}) {
    segment.acknowledgement = 12345;
    auto expected = answer_to(segment, RST);
    expected.sequence = segment.acknowledgement;
    const auto out = receive(segment);
    EXPECT_EQ(out.reason, "rejected");
    EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  }
  make_all_older(SLUICE_TIMEOUT_OVER_SECONDS + 5 * SLUICE_TICK_SECONDS);
  EXPECT_EQ(expire_short().over, 0U);
  EXPECT_EQ(expire().expired, 1U);
  EXPECT_EQ(slots(), 0U);
}

TEST_P(ShortIdleOfTcp, LetsAConnectionGoOnThatSpeaksInTimeThoughItsListenerResets) {
  set_idle_time(listener, idle | SLUICE_IDLE_RESETS);
  establish(protocol());
  expire_short();
  make_marks_older(sixteenths(idle) - 1);
  EXPECT_EQ(receive(from_member(1, protocol(), ACK)).reason, "replied");
  make_marks_older(1);
  EXPECT_EQ(expire_short().over, 0U);
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
}

TEST_P(ShortIdleOfTcp, EndsAConnectionThatHasOneSlot) {
  use_mode(SLUICE_DSR);
  receive(from_client());
  receive(from_client(protocol(), ACK));
  EXPECT_EQ(expire_short().marked, 1U);
  EXPECT_EQ(expired_after(sixteenths(idle) - 1), 0U);
  EXPECT_EQ(expired_after(1), 1U);
  EXPECT_EQ(slots(), 0U);
}

TEST_P(ShortIdleOfTcp, EndsAConnectionWhoseClientIsNotTranslated) {
  use_mode(SLUICE_DNAT);
  establish(protocol(), 40000, true);
  EXPECT_EQ(expire_short().marked, 2U);
  EXPECT_EQ(expired_after(sixteenths(idle) - 1), 0U);
  EXPECT_EQ(expired_after(1), 1U);
  EXPECT_EQ(slots(), 0U);
}

class ShortIdleOfUdp : public ShortIdle {};
INSTANTIATE_TEST_SUITE_P(, ShortIdleOfUdp,
                         ::testing::Combine(::testing::Values(4, 6), ::testing::Values(L4::udp)),
                         family_and_protocol);

TEST_P(ShortIdleOfUdp, IsThatOfASessionWithoutAnAnswerOnlyIfItIsShorter) {
  receive(from_client(protocol(), ACK));
  expire_short();
  EXPECT_EQ(expired_after(sixteenths(SLUICE_TIMEOUT_UDP_SECONDS) - 1), 0U);
  EXPECT_EQ(expired_after(1), 1U);
  set_idle_time(listener, 2);
  receive(from_client(protocol(), ACK));
  expire_short();
  EXPECT_EQ(expired_after(sixteenths(2) - 1), 0U);
  EXPECT_EQ(expired_after(1), 1U);
}

}  // namespace
}  // namespace sluice::test
