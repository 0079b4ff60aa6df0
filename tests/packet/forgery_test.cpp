// Forged packets neither end nor move a connection: an attacker who knows its addresses and ports
// can imitate its packets, but not so that its ends believe them.
#include <bpf/bpf.h>

#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Forgery : public Traffic, public ::testing::WithParamInterface<std::tuple<int, L4>> {
 protected:
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const { return std::get<1>(GetParam()); }
  void SetUp() override {
    Traffic::SetUp();
    if (!IsSkipped()) establish(protocol());
  }
  // A SYN or INIT, FIN or SHUTDOWN, RST or ABORT, or data; all of the same connection.
  Packet client_says(std::uint8_t flags, bool with_data = false) const {
    return said(from_client(protocol(), flags), flags, with_data);
  }
  Packet member_says(std::uint8_t flags, bool with_data = false) const {
    return said(from_member(1, protocol(), flags), flags, with_data);
  }
  Packet data() const { return client_says(ACK, true); }
  std::string at(const Packet& packet, const std::string& interface = "lan0") {
    return receive(packet, interface).reason;
  }
  void expect_at_the_same_member(const Packet& packet) {
    const auto out = receive(packet);
    EXPECT_EQ(out.reason, "forwarded");
    EXPECT_TRUE(same_frame(out.frame, at_member(packet).bytes()));
  }
  std::uint32_t active() { return number("listener_active", 9); }
  std::uint32_t half_open() {
    return static_cast<std::uint32_t>(wide_number("half_open", family() == 4 ? 0 : 1));
  }

 private:
  Packet said(Packet packet, std::uint8_t flags, bool with_data) const {
    if (!with_data) packet.data = {};
    if (protocol() == L4::sctp)
      packet.chunk = flags & SYN ? 1 : flags & RST ? 6 : flags & FIN ? 7 : with_data ? 0 : 3;
    return packet;
  }
  std::uint32_t number(const char* name, std::uint32_t index) {
    std::uint32_t value = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map(name), &index, &value), 0);
    return value;
  }
  std::uint64_t wide_number(const char* name, std::uint32_t index) {
    sluice_half_open value{};
    EXPECT_EQ(bpf_map_lookup_elem(map(name), &index, &value), 0);
    return value.flows;
  }
};
INSTANTIATE_TEST_SUITE_P(, Forgery,
                         ::testing::Combine(::testing::Values(4, 6),
                                            ::testing::Values(L4::tcp, L4::sctp)),
                         family_and_protocol);

// The whole attack: a reset with a wrong number, then a SYN.
TEST_P(Forgery, AResetAndASynDontMoveAConnectionToAnotherMember) {
  EXPECT_EQ(at(client_says(RST)), "forwarded");
  expect_at_the_same_member(client_says(SYN));
  expect_at_the_same_member(data());
  EXPECT_EQ(member_counters(member_index(2, protocol())).flows_opened, 0U);
}

TEST_P(Forgery, AnEndAndASynDontMoveAConnectionToAnotherMember) {
  EXPECT_EQ(at(client_says(FIN | ACK)), "forwarded");
  expect_at_the_same_member(client_says(SYN));
  expect_at_the_same_member(data());
}

TEST_P(Forgery, InTheMembersNameNeither) {
  EXPECT_EQ(at(member_says(RST)), "replied");
  expect_at_the_same_member(client_says(SYN));
  EXPECT_EQ(at(member_says(FIN | ACK)), "replied");
  expect_at_the_same_member(client_says(SYN));
  expect_at_the_same_member(data());
}

TEST_P(Forgery, OnceBothHaveEndedItASynMayGoElsewhere) {
  at(client_says(FIN | ACK));
  at(member_says(FIN | ACK));
  const auto out = receive(client_says(SYN));
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(client_says(SYN), 2).bytes()));
}

TEST_P(Forgery, OfAConnectionThatGoesOnAResetShortensNothing) {
  for (const auto& forged : {client_says(RST), client_says(RST | ACK), client_says(FIN | ACK),
                             member_says(RST), member_says(FIN | ACK)}) {
    at(forged);
    at(data());
    at(member_says(ACK, true));
    make_all_older(SLUICE_TIMEOUT_ESTABLISHED_SECONDS - 60);
    EXPECT_EQ(expire().live, 1U);
    expect_at_the_same_member(data());
    EXPECT_EQ(at(member_says(ACK, true)), "replied");
  }
  EXPECT_EQ(listener_counters(9).flows_failed, 0U);
}

// The packet that reveals the forgery may come late.
TEST_P(Forgery, AResetOfASilentConnectionIsTakenBackMinutesLater) {
  at(client_says(RST));
  make_all_older(200);
  EXPECT_EQ(expire().live, 1U);
  expect_at_the_same_member(data());
  make_all_older(SLUICE_TIMEOUT_ESTABLISHED_SECONDS - 60);
  EXPECT_EQ(expire().live, 1U);
}

// Acknowledgements alone are not enough to take back a FIN: after a right one they go on.
TEST_P(Forgery, AHalfClosedConnectionStaysSo) {
  at(client_says(FIN | ACK));
  for (int i = 0; i < 3; ++i) {
    at(member_says(ACK, true));
    at(client_says(ACK));
  }
  at(member_says(FIN | ACK));
  at(client_says(ACK));
  EXPECT_EQ(listener_counters(9).flows_ended, 1U);
  EXPECT_EQ(active(), 0U);
}

TEST_P(Forgery, WhatCountsAsActiveIsPutBackWithIt) {
  ASSERT_EQ(active(), 1U);
  at(client_says(RST));
  EXPECT_EQ(active(), 0U);
  at(client_says(ACK));
  EXPECT_EQ(active(), 1U);
  at(member_says(RST));
  EXPECT_EQ(active(), 0U);
  at(member_says(ACK));
  EXPECT_EQ(active(), 1U);
  at(client_says(FIN | ACK));
  at(member_says(FIN | ACK));
  EXPECT_EQ(active(), 0U);
  at(data());
  EXPECT_EQ(active(), 1U) << "neither end had meant it";
  EXPECT_EQ(half_open(), 0U);
  const auto counted = listener_counters(9);
  EXPECT_EQ(counted.flows_opened - counted.flows_ended, 1U);
  EXPECT_EQ(counted.flows_failed, 0U);
}

// A client that forges resets of its own connections keeps them, and they count.
TEST_P(Forgery, WrongResetsDontRaiseAConnectionLimit) {
  auto limited = listener(pool(protocol()), 9);
  limited.connection_limit = 5;
  put_listener(net().vip, listener_port(protocol()), protocol(), limited);
  const auto speak = [&](std::uint16_t port, std::uint8_t flags) {
    auto packet = client_says(flags, flags == ACK);
    packet.source_port = port;
    return at(packet);
  };
  std::uint16_t port = 41000;
  int live = 1;
  for (int i = 0; i < 40; ++i, ++port) {
    if (speak(port, SYN) != "flow_created") continue;
    auto answer = member_says(SYN | ACK);
    if (protocol() == L4::sctp) answer.chunk = 2;
    answer.destination_port = port;
    auto other = answer;
    other.source = net().member2;
    at(live % 2 ? other : answer);
    ++live;
    speak(port, ACK);
    speak(port, RST);
    speak(port, ACK);
  }
  EXPECT_EQ(live, 5);
  EXPECT_EQ(active(), 5U);
}

TEST_P(Forgery, AResetThatComesBeforeTheMembersAnswerIsTakenBackByIt) {
  auto syn = client_says(SYN), reset = client_says(RST), ack = client_says(ACK);
  syn.source_port = reset.source_port = ack.source_port = 40001;
  ASSERT_EQ(at(syn), "flow_created");
  EXPECT_EQ(half_open(), 1U);
  at(reset);
  EXPECT_EQ(half_open(), 0U);
  auto answer = from_member(2, protocol(), SYN | ACK, 40001);
  EXPECT_EQ(at(answer), "replied");
  EXPECT_EQ(half_open(), 1U);
  at(ack);
  EXPECT_EQ(half_open(), 0U);
  EXPECT_EQ(active(), 2U);
}

// The members are behind lan0; a client behind the other NIC forges their packets.
TEST_P(Forgery, AMembersPacketsAreBelievedOnlyFromItsSide) {
  auto reset = member_says(RST), end = member_says(FIN | ACK);
  for (auto* packet : {&reset, &end}) packet->destination_mac = dmz_mac;
  EXPECT_EQ(at(reset, "dmz0"), "replied") << "the client is to judge";
  EXPECT_EQ(at(end, "dmz0"), "replied");
  EXPECT_EQ(active(), 1U);
  make_all_older(SLUICE_TIMEOUT_ESTABLISHED_SECONDS - 60);
  EXPECT_EQ(expire().live, 1U);
  at(client_says(FIN | ACK));
  at(end, "dmz0");
  expect_at_the_same_member(client_says(SYN));
  EXPECT_EQ(at(member_says(FIN | ACK)), "replied");
  EXPECT_EQ(active(), 0U) << "from its own side it is believed";
}

TEST_P(Forgery, NobodyAnswersForAMemberFromAnotherSide) {
  auto syn = client_says(SYN), ack = client_says(ACK);
  syn.source_port = ack.source_port = 40001;
  ASSERT_EQ(at(syn), "flow_created");
  auto answer = from_member(2, protocol(), SYN | ACK, 40001);
  answer.destination_mac = dmz_mac;
  at(answer, "dmz0");
  at(ack);
  EXPECT_EQ(half_open(), 1U);
}

}  // namespace
}  // namespace sluice::test
