// A client's SYN: which member gets it, how it is translated, and when it is refused.
#include <linux/bpf.h>

#include "packet/world.hpp"

namespace sluice::test {
namespace {

using Connect = World;

TEST_F(Connect, FirstSynGoesToAMemberWithTheVipAsItsSource) {
  const TcpFrame syn = from_client(SYN);
  const Outcome out = receive(syn);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, at_member(syn, 1, 40000).bytes()));
}

TEST_F(Connect, DnatKeepsTheClientsAddressAndPort) {
  put_pool(0, SLUICE_DNAT, {0, 1});
  const TcpFrame syn = from_client(SYN, 53);
  TcpFrame expected = at_member(syn, 1, 53);
  expected.ip.source = client;
  EXPECT_TRUE(same_frame(receive(syn).frame, expected.bytes()));
}

TEST_F(Connect, RetransmittedSynGoesToTheSameMemberAndIsNoNewConnection) {
  const TcpFrame syn = from_client(SYN);
  receive(syn);
  const Outcome again = receive(syn);
  EXPECT_EQ(again.reason, "forwarded");
  EXPECT_TRUE(same_frame(again.frame, at_member(syn, 1, 40000).bytes()));
  EXPECT_EQ(listener_counters(0).flows_opened, 1U);
}

TEST_F(Connect, RetransmittedSynMovesOnWhenItsMemberWasEvictedBeforeItAnswered) {
  const TcpFrame syn = from_client(SYN);
  receive(syn);
  put_member(0, member1, 8080, false);
  put_pool(0, SLUICE_FULLNAT, {1});
  const Outcome again = receive(syn);
  EXPECT_EQ(again.reason, "flow_created");
  EXPECT_TRUE(same_frame(again.frame, at_member(syn, 2, 40000).bytes()));
  EXPECT_EQ(member_counters(0).flows_failed, 1U);
  EXPECT_EQ(flows().size(), 2U) << "the first attempt must leave nothing behind";
}

TEST_F(Connect, EstablishedConnectionStaysWithAnEvictedMember) {
  ASSERT_EQ(establish(), 1);
  put_member(0, member1, 8080, false);
  put_pool(0, SLUICE_FULLNAT, {1});
  const TcpFrame data = from_client(ACK | PSH, 40000, "GET /");
  EXPECT_TRUE(same_frame(receive(data).frame, at_member(data, 1, 40000).bytes()));
}

TEST_F(Connect, TwoClientsWithOnePortGetDifferentSourcePortsTowardOneMember) {
  put_pool(0, SLUICE_FULLNAT, {0});
  receive(from_client(SYN));
  TcpFrame other = from_client(SYN);
  other.ip.source = "203.0.113.6";
  ASSERT_EQ(receive(other).reason, "flow_created");
  std::vector<std::uint16_t> ports;
  for (const auto& flow : flows()) {
    if (flow.to_member()) ports.push_back(flow.value.new_source_port);
  }
  ASSERT_EQ(ports.size(), 2U);
  EXPECT_NE(ports[0], ports[1]);
}

// rancher#3099: NFS and rsh require a port that only the client's superuser can bind.
TEST_F(Connect, PrivilegedClientPortsStayPrivileged) {
  put_pool(0, SLUICE_FULLNAT, {0});
  for (const std::uint16_t port : {800, 1023, 1024, 1, 80}) {
    const TcpFrame syn = from_client(SYN, port);
    EXPECT_TRUE(same_frame(receive(syn).frame, at_member(syn, 1, port).bytes())) << port;
    TcpFrame other = syn;
    other.ip.source = "203.0.113.6";
    const auto out = receive(other);
    ASSERT_EQ(out.reason, "flow_created");
    const int chosen = out.frame[34] << 8 | out.frame[35];
    EXPECT_NE(chosen, port);
    EXPECT_EQ(chosen < 1024, port < 1024) << chosen;
    EXPECT_GE(chosen, 512) << "what rresvport() would have bound";
  }
}

// cilium#11810: the member sees one client, so that its port has to tell the connections apart.
TEST_F(Connect, DnatOfTwoVipsFromOnePortToOneMemberTakesAnotherPortForTheSecond) {
  put_pool(0, SLUICE_DNAT, {0});
  put_vip("10.0.0.17");
  put_listener("10.0.0.17", 80, 0, 1);
  ASSERT_EQ(receive(from_client(SYN)).reason, "flow_created");
  TcpFrame second = from_client(SYN);
  second.ip.destination = "10.0.0.17";
  const auto out = receive(second);
  ASSERT_EQ(out.reason, "flow_created");
  const auto port = static_cast<std::uint16_t>(out.frame[34] << 8 | out.frame[35]);
  EXPECT_NE(port, 40000);
  TcpFrame expected = at_member(second, 1, port);
  expected.ip.source = client;
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  // Each answer comes from the VIP that its client addressed.
  TcpFrame answer = from_member(1, port, SYN | ACK);
  answer.ip.destination = client;
  TcpFrame at_them = at_client(answer);
  at_them.ip.source = "10.0.0.17";
  EXPECT_TRUE(same_frame(receive(answer).frame, at_them.bytes()));
  answer.destination_port = 40000;
  EXPECT_TRUE(same_frame(receive(answer).frame, at_client(answer).bytes()));
}

TEST_F(Connect, FloatingIpReachesTheSameMembersAndRepliesComeFromIt) {
  put_vip("172.24.4.10");
  put_listener("172.24.4.10", 80, 0);
  TcpFrame syn = from_client(SYN);
  syn.ip.destination = "172.24.4.10";
  TcpFrame expected = at_member(syn, 1, 40000);  // the VIP is the source, not the floating IP
  EXPECT_TRUE(same_frame(receive(syn).frame, expected.bytes()));

  const TcpFrame reply = from_member(1, 40000, SYN | ACK);
  TcpFrame at_them = at_client(reply);
  at_them.ip.source = "172.24.4.10";
  EXPECT_TRUE(same_frame(receive(reply).frame, at_them.bytes()));
}

TEST_F(Connect, NonSynWithoutAFlowIsDropped) {
  for (const int flags : {int{ACK}, FIN | ACK, int{RST}, SYN | ACK, 0, SYN | FIN, SYN | RST}) {
    const Outcome out = receive(from_client(static_cast<std::uint8_t>(flags)));
    EXPECT_EQ(out.reason, "no_flow") << flags;
    EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_DROP));
  }
  EXPECT_TRUE(flows().empty());
}

TEST_F(Connect, PortWithoutListenerIsDropped) {
  TcpFrame syn = from_client(SYN);
  syn.destination_port = 81;
  EXPECT_EQ(receive(syn).reason, "no_listener");
}

TEST_F(Connect, ListenerWithEmptyRingRefuses) {
  put_pool(0, SLUICE_FULLNAT, {});
  EXPECT_EQ(receive(from_client(SYN)).reason, "no_member");
  EXPECT_EQ(listener_counters(0).flows_refused, 1U);
  EXPECT_TRUE(flows().empty());
}

TEST_F(Connect, ListenerWithoutPoolRefuses) {
  put_listener(vip, 80, SLUICE_NO_INDEX);
  EXPECT_EQ(receive(from_client(SYN)).reason, "no_member");
}

TEST_F(Connect, DisabledLoadBalancerDropsConnections) {
  put_vip(vip, false);
  EXPECT_EQ(receive(from_client(SYN)).reason, "vip_down");
}

TEST_F(Connect, FullTableRefusesNewConnectionsAndLeavesLiveOnesAlone) {
  const int first = establish(30000);
  int opened = 1, refused = 0;
  for (std::uint16_t port = 30001; port < 30001 + 4 * flow_capacity; ++port) {
    const auto syn = receive(from_client(SYN, port));
    if (syn.reason == "flow_table_full") ++refused;
    if (syn.reason != "flow_created") continue;
    ++opened;
    const auto member = syn.frame.at(33) == 4 ? 1 : 2;  // last byte of the new destination
    receive(from_member(member, port, SYN | ACK));
    receive(from_client(ACK, port));
  }
  EXPECT_GT(refused, static_cast<int>(flow_capacity));
  // Windows fill unevenly, and the fullest one decides, so the table has a third more slots than
  // needed.
  EXPECT_GE(opened, static_cast<int>(flow_capacity));
  EXPECT_LE(opened, 2 * static_cast<int>(flow_capacity));
  const TcpFrame data = from_client(ACK | PSH, 30000, "still here");
  EXPECT_TRUE(same_frame(receive(data).frame, at_member(data, first, 30000).bytes()));
}

TEST_F(Connect, SourcesThatNoClientHasAreDropped) {
  for (const char* source : {"0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "10.0.0.16"}) {
    TcpFrame syn = from_client(SYN);
    syn.ip.source = source;
    EXPECT_EQ(receive(syn).reason, "martian_source") << source;
  }
  EXPECT_TRUE(flows().empty());
}

TEST_F(Connect, SynWithTtlOneIsNotForwarded) {
  TcpFrame syn = from_client(SYN);
  syn.ip.ttl = 1;
  EXPECT_EQ(receive(syn).reason, "time_exceeded_sent");
  EXPECT_TRUE(flows().empty());
}

}  // namespace
}  // namespace sluice::test
