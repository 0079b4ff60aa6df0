// The controller is told of members at which new connections fail.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <memory>

#include "maps/suspicion.h"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Suspicion : public AllProtocols {
 protected:
  // Ends the second in which failures are counted.
  void let_the_second_pass() {
    std::uint32_t member = member_index(1, protocol());
    sluice_member_failures lately{};
    ASSERT_EQ(bpf_map_lookup_elem(map("member_failures"), &member, &lately), 0);
    lately.since_jiffies -= slow_clock;
    ASSERT_EQ(bpf_map_update_elem(map("member_failures"), &member, &lately, BPF_EXIST), 0);
  }
  // The time at which member 1 was first asked since its last answer; 0: nobody waits for one.
  std::uint32_t silence() {
    std::uint32_t member = member_index(1, protocol()), since = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map("member_silences"), &member, &since), 0);
    return since;
  }
  // Lengthens the silence by so many milliseconds.
  void let_the_silence_last(std::uint32_t milliseconds) {
    std::uint32_t member = member_index(1, protocol()), since = silence();
    if (protocol() == L4::udp) return;  // has no silence
    ASSERT_NE(since, 0U);
    since -= static_cast<std::uint32_t>(std::uint64_t{slow_clock} * milliseconds / 1000);
    ASSERT_EQ(bpf_map_update_elem(map("member_silences"), &member, &since, BPF_EXIST), 0);
  }
  // The suspicions that were reported since the last call.
  std::vector<sluice_suspicion> told() {
    std::vector<sluice_suspicion> result;
    const auto keep = [](void* to, void* data, std::size_t) {
      static_cast<std::vector<sluice_suspicion>*>(to)->push_back(
          *static_cast<sluice_suspicion*>(data));
      return 0;
    };
    const std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)> ring(
        ring_buffer__new(map("suspicions"), keep, &result, nullptr), ring_buffer__free);
    EXPECT_TRUE(ring);
    if (ring) ring_buffer__consume(ring.get());
    return result;
  }
  std::uint32_t failures() {
    std::uint32_t member = member_index(1, protocol());
    sluice_member_failures lately{};
    bpf_map_lookup_elem(map("member_failures"), &member, &lately);
    return lately.failures;
  }
  Packet refusal(std::uint16_t port = 40000) const {
    return from_member(1, protocol(), RST | ACK, port);
  }
  Packet syn(std::uint16_t port = 40000) const { return from_client(protocol(), SYN, port); }
  void turn_to_member_1() {
    put_pool(pool(protocol()), SLUICE_FULLNAT, {member_index(1, protocol())});
  }
  // A member's or router's ICMP error about the client's packet.
  Packet error_about_it(const std::string& sender, int type, int code) const {
    auto error = icmp_error(sender, net().vip, static_cast<std::uint8_t>(type),
                            static_cast<std::uint8_t>(code), 0,
                            at_member(from_client(protocol(), ACK)).ip_bytes());
    error.source_mac = member1_mac;
    error.destination_mac = lan_mac;
    return error;
  }
  void expect_told(std::uint32_t failures, sluice_failure failure) {
    const auto suspicions = told();
    ASSERT_EQ(suspicions.size(), 1U);
    EXPECT_EQ(suspicions[0].member, member_index(1, protocol()));
    EXPECT_EQ(suspicions[0].failures, failures);
    EXPECT_EQ(suspicions[0].failure, static_cast<std::uint32_t>(failure));
  }
};
FOR_ALL_PROTOCOLS(Suspicion);

// UDP can't refuse.
class Refusal : public Suspicion {};
INSTANTIATE_TEST_SUITE_P(, Refusal,
                         ::testing::Combine(::testing::Values(4, 6),
                                            ::testing::Values(L4::tcp, L4::sctp)),
                         family_and_protocol);

TEST_P(Refusal, AnAbortInPlaceOfAnAnswerIsARefusal) {
  receive(syn());
  EXPECT_EQ(receive(refusal()).reason, "replied") << "and reaches the client";
  expect_told(1, SLUICE_FAILURE_REFUSED);
  receive(refusal());
  EXPECT_TRUE(told().empty()) << "its repetition says nothing new";
  EXPECT_EQ(failures(), 1U);
}

TEST_P(Suspicion, AnOpeningPacketThatComesAgainASecondLaterWentUnanswered) {
  receive(syn());
  EXPECT_TRUE(told().empty());
  let_the_silence_last(1000);
  receive(syn());
  if (protocol() == L4::udp) {
    EXPECT_TRUE(told().empty()) << "UDP need not be answered";
  } else {
    expect_told(1, SLUICE_FAILURE_UNANSWERED);
  }
}

TEST_P(Suspicion, AClientThatSendsItsFirstPacketTwiceAtOnceAccusesNobody) {
  turn_to_member_1();
  for (std::uint16_t port = 43000; port < 43020; ++port) {
    receive(syn(port));
    receive(syn(port));
  }
  EXPECT_TRUE(told().empty()) << "there was no time to answer";
}

TEST_P(Refusal, AMemberThatAnswersOthersIsNotSilent) {
  turn_to_member_1();
  receive(syn(43000));
  let_the_silence_last(1000);
  receive(syn(43001));
  receive(from_member(1, protocol(), SYN | ACK, 43001));
  EXPECT_EQ(silence(), 0U);
  receive(syn(43000));
  EXPECT_TRUE(told().empty()) << "one client's packets may be lost on the way";
  let_the_silence_last(1000);
  receive(syn(43000));
  expect_told(1, SLUICE_FAILURE_UNANSWERED);
}

TEST_P(Refusal, ARefusalOfOthersIsAnAnswerToo) {
  turn_to_member_1();
  receive(syn(43000));
  let_the_silence_last(1000);
  receive(syn(43001));
  receive(refusal(43001));
  expect_told(1, SLUICE_FAILURE_REFUSED);
  receive(syn(43000));
  EXPECT_TRUE(told().empty());
}

TEST_P(Refusal, ASynThatWasLostLongAgoAccusesNobodyNow) {
  turn_to_member_1();
  receive(syn(43000));  // and its client gives up
  let_the_silence_last(10'000);
  receive(syn(43001));
  receive(syn(43001));
  EXPECT_TRUE(told().empty()) << "the member has had no time to answer this one";
  let_the_silence_last(1000);
  receive(syn(43001));
  expect_told(1, SLUICE_FAILURE_UNANSWERED);
}

TEST_P(Suspicion, NobodyIsSuspectedWhoHasAnswered) {
  receive(syn());
  receive(from_member(1, protocol()));
  receive(syn());  // the answer may have been lost behind us
  receive(from_client(protocol(), ACK));
  receive(from_client(protocol(), RST));
  receive(from_member(1, protocol(), RST));
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(failures(), 0U);
}

TEST_P(Suspicion, AClientThatAbortsAccusesNobody) {
  receive(syn());
  receive(from_client(protocol(), RST));
  EXPECT_TRUE(told().empty());
}

TEST_P(Suspicion, MembersThatAnswerDirectlyAreNotSeenToAnswer) {
  for (const auto mode : {SLUICE_DSR, SLUICE_IPIP}) {
    use_mode(mode, protocol(), {net().member1});
    receive(syn(static_cast<std::uint16_t>(41000 + mode)));
    receive(syn(static_cast<std::uint16_t>(41000 + mode)));
  }
  EXPECT_TRUE(told().empty());
}

TEST_P(Suspicion, AnUnreachableMemberIsToldByIcmp) {
  establish(protocol());
  const auto unreachable = error_about_it(net().member1, family() == 4 ? 3 : 1, 3);
  EXPECT_EQ(receive(unreachable).reason, "icmp_forwarded");
  expect_told(1, SLUICE_FAILURE_UNREACHABLE);
}

TEST_P(Suspicion, APacketThatWasTooBigAccusesNobody) {
  establish(protocol());
  const auto too_big =
      family() == 4 ? error_about_it(net().router, 3, 4) : error_about_it(net().router, 2, 0);
  EXPECT_EQ(receive(too_big).reason, "icmp_forwarded");
  EXPECT_TRUE(told().empty());
}

TEST_P(Refusal, AFloodAgainstADeadMemberTellsTwiceASecond) {
  turn_to_member_1();
  const auto refused = [&](std::uint16_t port) {
    receive(syn(port));
    receive(refusal(port));
  };
  for (std::uint16_t port = 42000; port < 42020; ++port) refused(port);
  const auto suspicions = told();
  ASSERT_EQ(suspicions.size(), 2U);
  EXPECT_EQ(suspicions[0].failures, 1U);
  EXPECT_EQ(suspicions[1].failures, static_cast<std::uint32_t>(SLUICE_FAILURE_BURST));
  let_the_second_pass();
  refused(42020);
  expect_told(1, SLUICE_FAILURE_REFUSED);
}

// The members are behind lan0.
TEST_P(Suspicion, WhatComesFromTheClientsSideAccusesNobody) {
  turn_to_member_1();
  receive(syn());
  auto error = error_about_it(net().router, family() == 4 ? 3 : 1, 1);
  error.destination_mac = dmz_mac;
  EXPECT_EQ(receive(error, "dmz0").reason, "icmp_forwarded");
  EXPECT_TRUE(told().empty());
  error.destination_mac = lan_mac;
  EXPECT_EQ(receive(error).reason, "icmp_forwarded");
  expect_told(1, SLUICE_FAILURE_UNREACHABLE);
}

}  // namespace
}  // namespace sluice::test
