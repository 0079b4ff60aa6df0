// The kernel's routes and neighbours decide where frames leave.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <net/if.h>

#include <cstdlib>

#include "maps/interface.h"
#include "packet/world.hpp"

namespace sluice::test {
namespace {

class NextHop : public World {
 protected:
  TcpFrame syn_to_member(const std::string& address) {
    put_member(0, address, 8080);
    put_pool(0, SLUICE_FULLNAT, {0});
    return from_client(SYN);
  }
  enum class Change { native, generic, not_attached };
  // Changes the interface's slot as another way of attaching would.
  void change_interface(const std::string& name, Change change) {
    const auto index = if_nametoindex(name.c_str());
    const std::uint32_t slot = index % SLUICE_MAX_INTERFACES;
    sluice_interface known{};
    ASSERT_EQ(bpf_map_lookup_elem(map("interfaces"), &slot, &known), 0);
    known.ifindex = change == Change::not_attached ? 0 : index;
    known.flags = change == Change::generic ? SLUICE_INTERFACE_GENERIC : 0;
    ASSERT_EQ(bpf_map_update_elem(map("interfaces"), &slot, &known, BPF_ANY), 0);
  }
  TcpFrame sent_to(const std::string& address, const Mac& next_hop, const Mac& source) {
    TcpFrame frame = at_member(from_client(SYN), 1, 40000);
    frame.ip.destination = address;
    frame.ip.destination_mac = next_hop;
    frame.ip.source_mac = source;
    return frame;
  }
};

TEST_F(NextHop, MemberBehindAnotherNicIsReachedThroughIt) {
  const Outcome out = receive(syn_to_member("10.1.0.4"));
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_REDIRECT));
  EXPECT_TRUE(same_frame(out.frame, sent_to("10.1.0.4", dmz_member_mac, dmz_mac).bytes()));
}

TEST_F(NextHop, ItsRepliesComeBackOutOfTheFirstNic) {
  receive(syn_to_member("10.1.0.4"));
  TcpFrame reply = from_member(1, 40000, SYN | ACK);
  reply.ip.source = "10.1.0.4";
  reply.ip.source_mac = dmz_member_mac;
  reply.ip.destination_mac = dmz_mac;
  const Outcome out = receive(reply.bytes(), "dmz0");
  EXPECT_EQ(out.reason, "replied");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_REDIRECT));
  EXPECT_TRUE(same_frame(out.frame, at_client(reply).bytes()));
}

TEST_F(NextHop, MemberBehindAGatewayIsReachedThroughTheGatewaysMac) {
  const Outcome out = receive(syn_to_member("10.2.0.4"));
  EXPECT_TRUE(same_frame(out.frame, sent_to("10.2.0.4", dmz_gateway_mac, dmz_mac).bytes()));
}

TEST_F(NextHop, MemberWithoutRouteIsRefused) {
  EXPECT_EQ(receive(syn_to_member("10.3.0.4")).reason, "no_route");
  EXPECT_TRUE(flows().empty());
  EXPECT_EQ(listener_counters(0).flows_refused, 1U);
}

// A bridge such as docker0 is attached in generic mode or not at all.
TEST_F(NextHop, AMemberBehindAnInterfaceThatXdpCantSendToIsRefusedAndSaidSo) {
  for (const auto change : {Change::generic, Change::not_attached}) {
    change_interface("dmz0", change);
    EXPECT_EQ(receive(syn_to_member("10.1.0.4")).reason, "egress_not_native");
    EXPECT_EQ(receive(syn_to_member("10.1.0.99")).reason, "egress_not_native") << "no MAC known";
    EXPECT_TRUE(flows().empty());
  }
  EXPECT_EQ(listener_counters(0).flows_refused, 4U);
}

TEST_F(NextHop, AClientBehindAnInterfaceThatXdpCantSendToIsRefusedToo) {
  change_interface("lan0", Change::generic);
  put_member(0, "10.1.0.4", 8080);
  put_pool(0, SLUICE_FULLNAT, {0});
  auto syn = from_client(SYN);
  syn.ip.destination_mac = dmz_mac;
  EXPECT_EQ(receive(syn, "dmz0").reason, "egress_not_native");
}

TEST_F(NextHop, FromAnInterfaceInGenericModeThereIsAWayToEverySecondOne) {
  change_interface("lan0", Change::generic);
  change_interface("dmz0", Change::generic);
  EXPECT_EQ(receive(syn_to_member("10.1.0.4")).reason, "flow_created");
  // The next hop that this lookup found must not serve clients from elsewhere.
  change_interface("lan0", Change::native);
  EXPECT_EQ(receive(from_client(SYN, 40001)).reason, "egress_not_native");
}

TEST_F(NextHop, AConnectionWhoseWayLeadsThereNowIsToldApartFromOneWithoutRoute) {
  receive(syn_to_member("10.1.0.4"));
  change_interface("dmz0", Change::generic);
  raise_next_hop_generation();
  EXPECT_EQ(receive(from_client(ACK)).reason, "egress_not_native");
}

TEST_F(NextHop, FirstPacketToAMemberWhoseMacIsUnknownIsTranslatedAndLeftToTheKernel) {
  const TcpFrame syn = syn_to_member("10.0.0.99");
  const Outcome out = receive(syn);
  EXPECT_EQ(out.reason, "next_hop_unresolved");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_PASS));
  // The kernel changes MACs and TTL.
  TcpFrame translated = sent_to("10.0.0.99", syn.ip.destination_mac, syn.ip.source_mac);
  translated.ip.ttl = syn.ip.ttl;
  EXPECT_TRUE(same_frame(out.frame, translated.bytes()));
  EXPECT_EQ(listener_counters(0).flows_opened, 1U);
  EXPECT_EQ(listener_counters(0).flows_refused, 0U);

  ASSERT_EQ(std::system("ip neigh add 10.0.0.99 lladdr 02:00:00:00:00:99 dev lan0 nud permanent"),
            0);
  const Mac mac{0x02, 0, 0, 0, 0, 0x99};
  const Outcome again = receive(syn);
  EXPECT_EQ(again.reason, "forwarded");
  EXPECT_TRUE(same_frame(again.frame, sent_to("10.0.0.99", mac, lan_mac).bytes()));
  std::system("ip neigh del 10.0.0.99 dev lan0");
}

TEST_F(NextHop, OnLinkClientThatTheKernelNeverHeardOfIsAnsweredAtItsOwnMac) {
  TcpFrame syn = from_client(SYN);
  syn.ip.source = "10.0.0.77";
  syn.ip.source_mac = neighbour_mac;
  ASSERT_EQ(receive(syn).reason, "flow_created");
  const TcpFrame reply = from_member(1, 40000, SYN | ACK);
  TcpFrame expected = at_client(reply);
  expected.ip.destination = "10.0.0.77";
  expected.ip.destination_mac = neighbour_mac;
  EXPECT_TRUE(same_frame(receive(reply).frame, expected.bytes()));
}

TEST_F(NextHop, ANewGenerationMakesFlowsFollowAChangedMac) {
  ASSERT_EQ(establish(), 1);
  ASSERT_EQ(
      std::system("ip neigh replace 10.0.0.4 lladdr 02:00:00:00:00:44 dev lan0 nud permanent"), 0);
  const TcpFrame data = from_client(ACK, 40000, "x");
  EXPECT_TRUE(same_frame(receive(data).frame, at_member(data, 1, 40000).bytes()))
      << "cached until told";
  raise_next_hop_generation();
  TcpFrame moved = at_member(data, 1, 40000);
  moved.ip.destination_mac = {0x02, 0, 0, 0, 0, 0x44};
  EXPECT_TRUE(same_frame(receive(data).frame, moved.bytes()));
  std::system("ip neigh replace 10.0.0.4 lladdr 02:00:00:00:00:04 dev lan0 nud permanent");
}

TEST_F(NextHop, AForgottenNeighbourDoesNotBreakAnOpenConnection) {
  ASSERT_EQ(establish(), 1);
  ASSERT_EQ(std::system("ip neigh del 10.0.0.4 dev lan0"), 0);
  raise_next_hop_generation();
  const TcpFrame data = from_client(ACK, 40000, "x");
  EXPECT_TRUE(same_frame(receive(data).frame, at_member(data, 1, 40000).bytes()));
  std::system("ip neigh replace 10.0.0.4 lladdr 02:00:00:00:00:04 dev lan0 nud permanent");
}

}  // namespace
}  // namespace sluice::test
