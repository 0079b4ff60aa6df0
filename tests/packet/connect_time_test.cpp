// Members that don't answer in the listener's time: the client's next SYN or INIT goes to another.
#include <sys/mman.h>

#include <span>

#include "maps/record.h"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

// Both members take turns, and have five seconds to answer.
class ConnectTime : public AllProtocols {
 protected:
  void SetUp() override {
    AllProtocols::SetUp();
    limit(50);
  }
  std::uint32_t first() const { return member_index(1, protocol()); }
  std::uint32_t second() const { return member_index(2, protocol()); }
  void limit(std::uint32_t tenths) {
    auto value = listener(pool(protocol()), 9);
    value.flags |= tenths << SLUICE_LISTENER_CONNECT_SHIFT;
    put_listener(net().vip, listener_port(protocol()), protocol(), value);
  }
  // As if all that was noted had been noted so much earlier.
  void let_pass(std::uint32_t milliseconds) {
    constexpr auto count = std::size_t{1} << SLUICE_RECORD_HANDSHAKE_BITS;
    constexpr auto bytes = count * sizeof(sluice_record_handshake);
    void* noted =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map("record_handshakes"), 0);
    ASSERT_NE(noted, MAP_FAILED);
    for (auto& one : std::span(static_cast<sluice_record_handshake*>(noted), count)) {
      if (one.mark != 0) one.microseconds -= milliseconds * 1000;
    }
    munmap(noted, bytes);
  }
  Packet syn() const { return from_client(protocol(), SYN); }
  Packet answer(int member) const { return from_member(member, protocol(), SYN | ACK); }
  void expect_sent_to(int member, const Outcome& outcome) {
    EXPECT_EQ(outcome.frame, at_member(syn(), member).bytes());
  }
};
INSTANTIATE_TEST_SUITE_P(, ConnectTime,
                         ::testing::Combine(::testing::Values(4, 6),
                                            ::testing::Values(L4::tcp, L4::sctp)),
                         family_and_protocol);

TEST_P(ConnectTime, ASynThatComesAgainInTimeGoesToTheSameMember) {
  expect_sent_to(1, receive(syn()));
  let_pass(4900);
  const auto again = receive(syn());
  EXPECT_EQ(again.reason, "forwarded");
  expect_sent_to(1, again);
}

TEST_P(ConnectTime, ALaterOneGoesToTheNextMemberWhichHasAsLong) {
  receive(syn());
  let_pass(5000);
  const auto moved = receive(syn());
  EXPECT_EQ(moved.reason, "flow_created");
  expect_sent_to(2, moved);
  EXPECT_EQ(member_counters(first()).flows_failed, 1U);
  let_pass(4900);
  expect_sent_to(2, receive(syn()));
  EXPECT_EQ(receive(answer(2)).reason, "replied");
  EXPECT_EQ(listener_counters(9).flows_opened, 2U);
}

TEST_P(ConnectTime, AConnectionThatWasAnsweredStays) {
  receive(syn());
  EXPECT_EQ(receive(answer(1)).reason, "replied");
  let_pass(9000);
  expect_sent_to(1, receive(syn()));
}

TEST_P(ConnectTime, TheLateAnswerIsResetAndDoesNotReachTheClient) {
  receive(syn());
  let_pass(5000);
  receive(syn());
  const auto late = receive(answer(1));
  EXPECT_EQ(late.reason, "rejected");
  EXPECT_EQ(late.action, transmitted) << "to the member";
  EXPECT_EQ(receive(answer(2)).reason, "replied") << "to the client";
}

TEST_P(ConnectTime, AStrangersAnswerIsNotReset) {
  receive(syn());
  EXPECT_EQ(receive(answer(2)).reason, "no_listener");
  let_pass(5000);
  receive(syn());
  EXPECT_EQ(receive(from_member(1, protocol(), SYN | ACK, 40001)).reason, "no_listener");
  let_pass(64'000);
  EXPECT_EQ(receive(answer(1)).reason, "no_listener") << "no kernel repeats its answer so late";
}

TEST_P(ConnectTime, WithoutALimitItStaysWithItsMember) {
  limit(0);
  receive(syn());
  let_pass(59'000);
  expect_sent_to(1, receive(syn()));
}

TEST_P(ConnectTime, AnOnlyMemberIsAskedAgain) {
  put_pool(pool(protocol()), SLUICE_FULLNAT, {first()});
  receive(syn());
  let_pass(5000);
  expect_sent_to(1, receive(syn()));
}

TEST_P(ConnectTime, EveryAlgorithmAndAPersistentChoiceMovesOn) {
  for (const auto algorithm :
       {SLUICE_ROUND_ROBIN, SLUICE_LEAST_CONNECTIONS, SLUICE_SOURCE_IP, SLUICE_SOURCE_IP_PORT}) {
    for (const std::uint32_t persistence : {0U, 60U}) {
      SCOPED_TRACE(algorithm);
      forget_flows();
      put_pool(pool(protocol()), SLUICE_FULLNAT,
               {SLUICE_RING_WEIGHTED(first(), 1), SLUICE_RING_WEIGHTED(second(), 1)}, algorithm,
               persistence);
      const bool to_first = receive(syn()).frame == at_member(syn(), 1).bytes();
      let_pass(5000);
      expect_sent_to(to_first ? 2 : 1, receive(syn()));
    }
  }
}

TEST_P(ConnectTime, WhereTheClientsAddressIsKeptTheClientResetsTheLateAnswerItself) {
  use_mode(SLUICE_DNAT, protocol(), {net().member1, net().member2});
  receive(syn());
  let_pass(5000);
  EXPECT_EQ(receive(syn()).frame, at_member(syn(), 2, true).bytes());
  EXPECT_EQ(receive(from_member(1, protocol(), SYN | ACK, 40000, true)).reason, "not_ours");
}

TEST_P(ConnectTime, WhoseMembersAnswerDirectlyIsNotMoved) {
  use_mode(SLUICE_DSR, protocol());
  const auto sent = receive(syn());
  let_pass(9000);
  const auto again = receive(syn());
  EXPECT_EQ(again.reason, "forwarded");
  EXPECT_EQ(again.frame, sent.frame);
}

}  // namespace
}  // namespace sluice::test
