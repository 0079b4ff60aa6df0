// A listener's limits: networks, connections at a time, connections per second.
#include <bpf/bpf.h>

#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Admission : public BothFamilies {
 protected:
  void put(const sluice_listener& value) { put_listener(net().vip, 80, L4::tcp, value); }
  sluice_listener usual() const { return listener(pool(), 9); }
  std::string reason(std::uint16_t port) { return receive(from_client(L4::tcp, SYN, port)).reason; }
};
FOR_BOTH_FAMILIES(Admission);

TEST_P(Admission, OnlyAllowedNetworksMayConnect) {
  auto restricted = usual();
  restricted.flags = SLUICE_LISTENER_RESTRICTED;
  put(restricted);
  EXPECT_EQ(reason(41000), "not_allowed") << "no network is allowed yet";
  allow(9, family() == 4 ? "203.0.113.0" : "2001:db8:c::", family() == 4 ? 24 : 48);
  EXPECT_EQ(reason(41001), "flow_created");
  auto other = from_client(L4::tcp, SYN, 41002);
  other.source = net().other_client;
  EXPECT_EQ(receive(other).reason, "not_allowed");
  EXPECT_EQ(listener_counters(9).flows_refused, 2U);
}

TEST_P(Admission, AnotherListenersNetworksDontCount) {
  auto restricted = usual();
  restricted.flags = SLUICE_LISTENER_RESTRICTED;
  put(restricted);
  allow(8, family() == 4 ? "0.0.0.0" : "::", 0);
  EXPECT_EQ(reason(41000), "not_allowed");
}

TEST_P(Admission, AnEstablishedConnectionIsNotAskedAgain) {
  establish();
  auto restricted = usual();
  restricted.flags = SLUICE_LISTENER_RESTRICTED;
  put(restricted);
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "forwarded");
}

TEST_P(Admission, TheConnectionLimitCountsConfirmedConnectionsThatAreThereNow) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  auto limited = usual();
  limited.connection_limit = 2;
  put(limited);
  establish(L4::tcp, 41000);
  establish(L4::tcp, 41001);
  EXPECT_EQ(reason(41002), "connection_limit");
  EXPECT_EQ(receive(from_client(L4::tcp, ACK, 41000)).reason, "forwarded");
  EXPECT_EQ(listener_counters(9).flows_refused, 1U);
  receive(from_client(L4::tcp, FIN | ACK, 41000));
  receive(from_member(1, L4::tcp, FIN | ACK, 41000));
  EXPECT_EQ(reason(41002), "flow_created");
}

TEST_P(Admission, SynsThatNobodyConfirmsLockNobodyOut) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  auto limited = usual();
  limited.connection_limit = 2;
  put(limited);
  for (std::uint16_t port = 42000; port < 42060; ++port) EXPECT_EQ(reason(port), "flow_created");
  establish(L4::tcp, 41000);
  EXPECT_EQ(receive(from_client(L4::tcp, ACK, 41000)).reason, "forwarded");
}

TEST_P(Admission, OfManyClientsThatWereAdmittedAtOnceNoMoreThanTheLimitGetThrough) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  auto limited = usual();
  limited.connection_limit = 2;
  put(limited);
  for (std::uint16_t port = 42000; port < 42006; ++port) {
    EXPECT_EQ(reason(port), "flow_created");
    receive(from_member(1, L4::tcp, SYN | ACK, port));
  }
  int confirmed = 0;
  for (std::uint16_t port = 42000; port < 42006; ++port) {
    const auto segment = from_client(L4::tcp, ACK, port);
    const auto out = receive(segment);
    confirmed += out.reason == "forwarded";
    if (out.reason == "forwarded") continue;
    EXPECT_EQ(out.reason, "rejected");
    auto reset = answer_to(segment, RST);
    reset.sequence = segment.acknowledgement;
    EXPECT_TRUE(same_frame(out.frame, reset.bytes()));
    EXPECT_EQ(receive(segment).reason, "no_flow") << "both know that it is over";
  }
  EXPECT_EQ(confirmed, 2);
  EXPECT_EQ(listener_counters(9).flows_refused, 4U);
  EXPECT_EQ(listener_counters(9).flows_opened - listener_counters(9).flows_ended, 2U);
}

// Another CPU, which opens a connection, has counted it as half-open and not yet as one that is
// there: of two counters the difference would leave room for one more.
TEST_P(Admission, TheLimitHoldsWhileAnotherCpuCountsANewConnection) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  auto limited = usual();
  limited.connection_limit = 1;
  put(limited);
  establish(L4::tcp, 41000);
  const std::uint32_t index = limited.index, one = 1;
  ASSERT_EQ(bpf_map_update_elem(map("listener_half_open"), &index, &one, BPF_EXIST), 0);
  EXPECT_EQ(reason(41001), "connection_limit");
}

TEST_P(Admission, OfUdpSessionsNoMoreThanTheLimitAreAnswered) {
  use_mode(SLUICE_FULLNAT, L4::udp, {net().member1});
  auto limited = listener(pool(L4::udp), 9);
  limited.connection_limit = 2;
  put_listener(net().vip, 53, L4::udp, limited);
  for (std::uint16_t port = 42000; port < 42004; ++port)
    EXPECT_EQ(receive(from_client(L4::udp, 0, port)).reason, "flow_created");
  for (std::uint16_t port = 42000; port < 42004; ++port)
    EXPECT_EQ(receive(from_member(1, L4::udp, 0, port)).reason,
              port < 42002 ? "replied" : "connection_limit");
  EXPECT_EQ(receive(from_client(L4::udp, 0, 42003)).reason, "connection_limit");
}

TEST_P(Admission, ASourceMayOpenSoManyConnectionsPerSecond) {
  auto limited = usual();
  limited.new_connection_limit = 3;
  put(limited);
  std::uint16_t port = 41000;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(reason(port++), "flow_created");
  EXPECT_EQ(reason(port), "rate_limited");
  auto other = from_client(L4::tcp, SYN, 41100);
  other.source = net().other_client;
  EXPECT_EQ(receive(other).reason, "flow_created") << "each source has its own budget";
}

}  // namespace
}  // namespace sluice::test
