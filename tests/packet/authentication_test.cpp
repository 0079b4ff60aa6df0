// SYN authentication: a client of a crowded listener gets a connection once it has reset a wrong
// answer to its SYN, as honest ones do.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "kernel/map.hpp"
#include "maps/half_open.h"
#include "maps/syn_answers.h"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Authentication : public BothFamilies {
 protected:
  void SetUp() override {
    BothFamilies::SetUp();
    if (!IsSkipped()) authenticate(SLUICE_LISTENER_AUTHENTICATES_ALWAYS);
  }
  void authenticate(std::uint32_t flags) {
    auto value = listener(pool(), 9);
    value.flags = flags;
    put_listener(net().vip, 80, L4::tcp, value);
  }
  Packet syn(std::uint16_t port = 40000) const {
    auto packet = from_client(L4::tcp, SYN, port);
    packet.data = {};
    packet.sequence = 0x10000000U + port;
    return packet;
  }
  // What the client's kernel makes of an answer that acknowledges this.
  static Packet reset_of(const Packet& syn, std::uint32_t acknowledged) {
    auto reset = syn;
    reset.flags = RST;
    reset.sequence = acknowledged;
    reset.acknowledgement = 0;
    return reset;
  }
  std::uint32_t acknowledged(const Bytes& answer) const {
    const std::size_t at = 14 + (family() == 4 ? 20 : 40) + 8;
    return static_cast<std::uint32_t>(answer.at(at)) << 24 |
           static_cast<std::uint32_t>(answer.at(at + 1)) << 16 |
           static_cast<std::uint32_t>(answer.at(at + 2)) << 8 | answer.at(at + 3);
  }
  // Sends the SYN, and a reset of the answer; why the SYN goes where then.
  std::string reason_of_proven(const Packet& packet) {
    const auto answer = receive(packet);
    EXPECT_EQ(answer.reason, "syn_answered");
    EXPECT_EQ(receive(reset_of(packet, acknowledged(answer.frame))).reason, "syn_proven");
    return receive(packet).reason;
  }
  std::size_t slots() { return family() == 4 ? flows().size() : flows6().size(); }
};
FOR_BOTH_FAMILIES(Authentication);

TEST_P(Authentication, ASynIsAnsweredByAWrongNumberAndNotRemembered) {
  const auto packet = syn();
  const auto out = receive(packet);
  EXPECT_EQ(out.reason, "syn_answered");
  EXPECT_EQ(out.action, XDP_TX);
  EXPECT_LE(out.frame.size(), packet.bytes().size());
  const auto lag = packet.sequence - acknowledged(out.frame);
  EXPECT_GE(lag, 1U);
  EXPECT_LE(lag, 1U << 15);
  auto answer = answer_to(packet, SYN | ACK);
  answer.acknowledgement = acknowledged(out.frame);
  answer.window = 65535;
  EXPECT_TRUE(same_frame(out.frame, answer.bytes()));
  EXPECT_EQ(slots(), 0U);
  EXPECT_TRUE(same_frame(receive(packet).frame, out.frame)) << "the same again";
}

TEST_P(Authentication, WhoResetsItGetsTheMembersConnection) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  const auto packet = syn();
  const auto answer = receive(packet);
  const auto reset = receive(reset_of(packet, acknowledged(answer.frame)));
  EXPECT_EQ(reset.reason, "syn_proven");
  EXPECT_EQ(reset.action, XDP_DROP);
  const auto out = receive(packet);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(packet).bytes())) << "with the client's own number";
  EXPECT_EQ(receive(from_member(1, L4::tcp, SYN | ACK)).reason, "replied");
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "forwarded");
  EXPECT_EQ(receive(syn()).reason, "forwarded") << "a known flow's is not asked";
}

TEST_P(Authentication, AnotherNumberProvesNothing) {
  const auto packet = syn();
  const auto right = acknowledged(receive(packet).frame);
  for (const auto number : {right - 1, right + 1, packet.sequence, packet.sequence + 1, 0U}) {
    receive(reset_of(packet, number));
    EXPECT_EQ(receive(packet).reason, "syn_answered") << number - right;
  }
  receive(reset_of(packet, right));
  EXPECT_EQ(receive(syn(40001)).reason, "syn_answered") << "from another port";
  auto later = packet;
  ++later.sequence;
  EXPECT_EQ(receive(later).reason, "syn_answered") << "another SYN";
}

TEST_P(Authentication, InEveryModeAClientGetsThrough) {
  std::uint16_t port = 41000;
  for (const auto mode : {SLUICE_FULLNAT, SLUICE_DNAT, SLUICE_DSR, SLUICE_IPIP}) {
    use_mode(mode);
    EXPECT_EQ(reason_of_proven(syn(port++)), "flow_created") << mode;
  }
}

TEST_P(Authentication, IsAskedForWhileMoreThanHalfOfTheListenersShareIsTaken) {
  authenticate(SLUICE_LISTENER_AUTHENTICATES);
  constexpr auto half = half_open_limit / SLUICE_LISTENER_HALF_OPEN_SHARE / 2;
  for (std::uint16_t i = 0; i <= half; ++i)
    EXPECT_EQ(receive(syn(static_cast<std::uint16_t>(41000 + i))).reason, "flow_created");
  EXPECT_EQ(receive(syn()).reason, "syn_answered");
  EXPECT_EQ(receive(reset_of(syn(), 1)).reason, "syn_proven");
  authenticate(0);
  EXPECT_EQ(receive(syn()).reason, "flow_created");
  EXPECT_EQ(receive(reset_of(syn(40001), 1)).reason, "no_flow") << "where nobody is asked";
}

TEST_P(Authentication, OneAddressHasAtMostSixteenHalfOpen) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  std::uint16_t port = 41000;
  for (std::uint32_t i = 0; i < SLUICE_SOURCE_HALF_OPEN; ++i)
    EXPECT_EQ(reason_of_proven(syn(port++)), "flow_created");
  EXPECT_EQ(reason_of_proven(syn(port++)), "source_half_open");
  auto other = syn();
  other.source = net().other_client;
  EXPECT_EQ(reason_of_proven(other), "flow_created");
  receive(from_member(1, L4::tcp, SYN | ACK, 41000));
  EXPECT_EQ(receive(from_client(L4::tcp, ACK, 41000)).reason, "forwarded");
  EXPECT_EQ(reason_of_proven(syn(port++)), "flow_created") << "in place of the one it confirmed";
  EXPECT_EQ(reason_of_proven(syn(port++)), "source_half_open");
}

TEST_P(Authentication, ANetworkIsSentSoManyAnswersASecond) {
  auto spoofed = syn();
  std::map<std::string, int> reasons;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 2200; ++i) {
    spoofed.source =
        (family() == 4 ? "198.51.100." : "2001:db8:77::") + std::to_string(1 + i % 250);
    spoofed.source_port = static_cast<std::uint16_t>(1024 + i);
    ++reasons[receive(spoofed).reason];
  }
  const auto whole_seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began);
  EXPECT_EQ(reasons["syn_answered"] + reasons["syn_answer_limit"], 2200);
  EXPECT_GE(reasons["syn_answered"], 1000);
  EXPECT_LE(reasons["syn_answered"], 1000 * (whole_seconds.count() + 2))
      << "more seconds may have begun";
  EXPECT_EQ(receive(syn()).reason, "syn_answered") << "of another network";
}

TEST_P(Authentication, NobodyElseIsAnswered) {
  auto martian = syn();
  martian.source = net().vip;
  EXPECT_EQ(receive(martian).reason, "martian_source");
  auto with_options = syn();
  if (family() == 4) {
    with_options.ip_options = {1, 1, 1, 1};
  } else {
    with_options.extensions = {{60, 0, 1, 4, 0, 0, 0, 0}};
  }
  EXPECT_EQ(receive(with_options).reason, "syn_answer_limit") << "it would have to be made anew";
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "no_flow");
  EXPECT_EQ(receive(from_client(L4::udp, 0)).reason, "flow_created");
  EXPECT_EQ(receive(from_client(L4::sctp, SYN)).reason, "flow_created");
  auto restricted = listener(pool(), 9);
  restricted.flags = SLUICE_LISTENER_RESTRICTED | SLUICE_LISTENER_AUTHENTICATES_ALWAYS;
  put_listener(net().vip, 80, L4::tcp, restricted);
  EXPECT_EQ(receive(syn()).reason, "not_allowed");
}

// A suite of its own: its packet is foretold, too (SLUICE_TEST_REHEARSAL). Foretelling more of them
// would meet the end of a second between a question and its packet.
class AnsweredNetwork : public Authentication {
 protected:
  void wait_for_the_next_second_if_it_is_near() {
    const kernel::CounterMap<sluice_syn_answers> answers(program(), "syn_answers");
    for (std::uint16_t port = 30000;; ++port) {
      receive_repeatedly(syn(port).bytes(), 1);
      const auto all = answers.first_per_cpu(1);
      ASSERT_TRUE(all) << all.error().text();
      std::uint32_t jiffies = 0;  // when the last SYN was answered
      for (const auto& one : *all) jiffies = std::max(jiffies, one.time);
      if (jiffies % slow_clock < slow_clock / 5 * 4) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
};
FOR_BOTH_FAMILIES(AnsweredNetwork);

// The CPU, and only that one, has answered the network's share of this second. `explain` knows,
// too.
TEST_P(AnsweredNetwork, WhatWasSentBeforeCounts) {
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  wait_for_the_next_second_if_it_is_near();
  for (int i = 0; i < 1001; ++i) receive_repeatedly(syn().bytes(), 1);
  EXPECT_EQ(receive(syn(40001)).reason, "syn_answer_limit");
  sched_setaffinity(0, sizeof all, &all);
}

// With the usual clock, by which more answers may leave in a jiffy.
class AuthenticationInAFlood : public Authentication {
 protected:
  kernel::LoadOptions load_options() const override {
    auto options = Authentication::load_options();
    options.jiffies_per_second = 0;
    return options;
  }
};
FOR_BOTH_FAMILIES(AuthenticationInAFlood);

// However many forged SYNs come, a client between them is served, and nothing is remembered.
TEST_P(AuthenticationInAFlood, ItTakesNothing) {
  auto spoofed = syn();
  for (int i = 0; i < 3000; ++i) {
    spoofed.source = family() == 4
                         ? "198.18." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250)
                         : "2001:db8:" + std::to_string(i) + "::1";
    receive_repeatedly(spoofed.bytes(), 1);
  }
  EXPECT_EQ(slots(), 0U);
  EXPECT_EQ(reason_of_proven(syn()), "flow_created");
}

}  // namespace
}  // namespace sluice::test
