// Members that answer directly: dsr (same link) and ipip (anywhere).
#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <algorithm>
#include <set>

#include "maps/tunnel.h"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Direct : public AllProtocols {
 protected:
  // The client's packet as it is forwarded: only the TTL and the MACs change.
  Packet sent_on(Packet p, const Mac& from, const Mac& to) const {
    p.source_mac = from;
    p.destination_mac = to;
    --p.ttl;
    return p;
  }
  // `inner` in a tunnel from the load balancer's own address on dmz0 to the member.
  Bytes in_tunnel(const Packet& inner, const std::string& member) const {
    return in_tunnel(inner, family() == 4 ? "10.1.0.9" : "2001:db8:1::9", member);
  }
  Bytes in_tunnel(const Packet& inner, const std::string& source, const std::string& member) const {
    Packet outer;
    outer.source_mac = inner.source_mac;
    outer.destination_mac = inner.destination_mac;
    outer.source = source;
    outer.destination = member;
    outer.id = inner.dont_fragment ? 0 : inner.id;
    outer.dont_fragment = inner.dont_fragment;
    outer.protocol = static_cast<L4>(family() == 4 ? 4 : 41);
    auto frame = outer.bytes();
    frame.resize(family() == 4 ? 34 : 54);  // no L4 header of its own
    const auto payload = inner.ip_bytes();
    frame.insert(frame.end(), payload.begin(), payload.end());
    const auto total = payload.size() + (family() == 4 ? 20 : 0);
    const std::size_t at = family() == 4 ? 16 : 18;
    frame[at] = static_cast<std::uint8_t>(total >> 8);
    frame[at + 1] = static_cast<std::uint8_t>(total);
    if (family() == 4) {
      frame[24] = frame[25] = 0;
      const auto sum = internet_checksum(Bytes(frame.begin() + 14, frame.begin() + 34));
      frame[24] = static_cast<std::uint8_t>(sum >> 8);
      frame[25] = static_cast<std::uint8_t>(sum);
    }
    return frame;
  }
  // The MTU that a sender is told whose packet does not fit into the tunnel to a member behind a
  // narrow way.
  int told_mtu(sluice_forwarding_mode mode) {
    use_mode(mode, protocol(), {net().narrow_member});
    EXPECT_EQ(receive(from_client(protocol())).reason, "flow_created");
    auto large = from_client(protocol(), ACK);
    large.data = Bytes(1400);
    const auto out = receive(large);
    EXPECT_EQ(out.reason, "too_big_sent");
    const std::size_t at = family() == 4 ? 14 + 20 + 6 : 14 + 40 + 6;
    return out.frame[at] << 8 | out.frame[at + 1];
  }
};
FOR_ALL_PROTOCOLS(Direct);

TEST_P(Direct, DsrChangesNothingButMacsAndTtl) {
  use_mode(SLUICE_DSR, protocol());
  const auto first = from_client(protocol());
  auto out = receive(first);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, sent_on(first, lan_mac, member1_mac).bytes()));
  for (int i = 0; i < 3; ++i) {
    const auto later = from_client(protocol(), ACK);
    out = receive(later);
    EXPECT_EQ(out.reason, "forwarded");
    EXPECT_TRUE(same_frame(out.frame, sent_on(later, lan_mac, member1_mac).bytes()));
  }
  EXPECT_EQ(listener_counters(9).flows_opened, 1U);
  EXPECT_EQ(flows().size() + flows6().size(), 1U) << "nobody comes back through the load balancer";
}

TEST_P(Direct, IpipPutsAHeaderInFrontAndTheMemberMayBeAnywhere) {
  use_mode(SLUICE_IPIP, protocol(), {net().far_member});
  const auto first = from_client(protocol());
  auto out = receive(first);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_REDIRECT));
  EXPECT_TRUE(
      same_frame(out.frame, in_tunnel(sent_on(first, dmz_mac, dmz_gateway_mac), net().far_member)));
  const auto later = from_client(protocol(), ACK);
  out = receive(later);
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_TRUE(
      same_frame(out.frame, in_tunnel(sent_on(later, dmz_mac, dmz_gateway_mac), net().far_member)));
}

std::uint16_t word(const Bytes& frame, std::size_t at) {
  return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]);
}

TEST_P(Direct, GuePutsAUdpHeaderBetweenTheTwoAndTheMemberMayBeAnywhere) {
  use_mode(SLUICE_GUE, protocol(), {net().far_member});
  const std::size_t udp = family() == 4 ? 34 : 54;
  std::uint16_t source_port = 0;
  for (const std::uint8_t flags : {SYN, ACK, ACK}) {
    const auto packet = from_client(protocol(), flags);
    const auto out = receive(packet);
    EXPECT_EQ(out.reason, flags == SYN ? "flow_created" : "forwarded");
    EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_REDIRECT));
    auto expected = in_tunnel(sent_on(packet, dmz_mac, dmz_gateway_mac), net().far_member);
    ASSERT_EQ(out.frame.size(), expected.size() + 8);
    // The UDP header: a port of the connection's own, the tunnel's port, the length, no checksum.
    EXPECT_GE(word(out.frame, udp), 0xc000);
    if (source_port == 0) source_port = word(out.frame, udp);
    EXPECT_EQ(word(out.frame, udp), source_port) << "all its packets take one queue";
    EXPECT_EQ(word(out.frame, udp + 2), 6080);
    EXPECT_EQ(word(out.frame, udp + 4), out.frame.size() - udp);
    EXPECT_EQ(word(out.frame, udp + 6), 0);
    // The IP header tells of UDP, and of eight bytes more.
    EXPECT_EQ(out.frame[family() == 4 ? 23 : 20], 17);
    const std::size_t length = family() == 4 ? 16 : 18;
    EXPECT_EQ(word(out.frame, length), word(expected, length) + 8);
    if (family() == 4) {
      EXPECT_EQ(internet_checksum(Bytes(out.frame.begin() + 14, out.frame.begin() + 34)), 0);
    }
    // All else is as in a tunnel without it.
    auto rest = out.frame;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(udp),
               rest.begin() + static_cast<std::ptrdiff_t>(udp) + 8);
    for (const std::size_t at : {length, length + 1}) rest[at] = expected[at];
    rest[family() == 4 ? 23 : 20] = expected[family() == 4 ? 23 : 20];
    if (family() == 4) std::copy_n(expected.begin() + 24, 2, rest.begin() + 24);
    EXPECT_TRUE(same_frame(rest, expected));
  }
}

TEST_P(Direct, GueTellsTheMtuThatTheTunnelLeaves) {
  EXPECT_EQ(told_mtu(SLUICE_GUE), family() == 4 ? 1372 : 1352);
}

// What tells connections apart in front of a member: the UDP source port, or the outer source.
TEST_P(Direct, ConnectionsInTunnelsDifferAndEachStaysAsItIs) {
  const std::size_t udp = family() == 4 ? 34 : 54, source = family() == 4 ? 26 : 22;
  const std::size_t bytes = family() == 4 ? 4 : 16;
  sluice_tunnel_source from{};
  inet_pton(family() == 4 ? AF_INET : AF_INET6,
            family() == 4 ? "172.16.0.0" : "100::", &from.prefix);
  inet_pton(family() == 4 ? AF_INET : AF_INET6,
            family() == 4 ? "0.0.255.255" : "::ffff:ffff:ffff:ffff", &from.mask);
  const std::uint32_t which = family() == 4 ? 0 : 1;
  ASSERT_EQ(bpf_map_update_elem(map("tunnel_sources"), &which, &from, BPF_EXIST), 0);
  for (const auto mode : {SLUICE_GUE, SLUICE_IPIP}) {
    use_mode(mode, protocol(), {net().far_member});
    std::set<Bytes> seen;
    for (std::uint16_t port = 41000; port < 41032; ++port) {
      const auto mark = [&](std::uint8_t flags) {
        const auto frame = receive(from_client(protocol(), flags, port)).frame;
        const auto at =
            frame.begin() + static_cast<std::ptrdiff_t>(mode == SLUICE_GUE ? udp : source);
        return Bytes(at, at + static_cast<std::ptrdiff_t>(mode == SLUICE_GUE ? 2 : bytes));
      };
      const auto first = mark(SYN);
      EXPECT_EQ(mark(ACK), first);
      if (mode == SLUICE_IPIP) {
        EXPECT_EQ(Bytes(first.begin(), first.begin() + 2),
                  family() == 4 ? (Bytes{172, 16}) : (Bytes{1, 0}));
      }
      seen.insert(first);
    }
    EXPECT_GE(seen.size(), 30U) << "of 32 connections";
    forget_flows();
  }
}

TEST_P(Direct, IpipFollowsANewGenerationOfNextHops) {
  use_mode(SLUICE_IPIP, protocol(), {net().far_member});
  receive(from_client(protocol()));
  raise_next_hop_generation();
  const auto later = from_client(protocol(), ACK);
  EXPECT_TRUE(same_frame(receive(later).frame,
                         in_tunnel(sent_on(later, dmz_mac, dmz_gateway_mac), net().far_member)));
}

TEST_P(Direct, IpipTellsTheMtuThatTheTunnelLeaves) {
  EXPECT_EQ(told_mtu(SLUICE_IPIP), family() == 4 ? 1380 : 1360);
}

// The kernel drops packets that arrive from one of its own addresses, so such a tunnel starts at
// the client.
TEST_P(Direct, WhatIpipLeavesToTheKernelToResolveStartsAtTheClient) {
  const std::string silent = family() == 4 ? "10.0.0.99" : "2001:db8::99";
  use_mode(SLUICE_IPIP, protocol(), {silent});
  const auto first = from_client(protocol());
  auto inner = first;
  --inner.ttl;
  const auto out = receive(first);
  EXPECT_EQ(out.reason, "next_hop_unresolved");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_PASS));
  const std::string source = family() == 4 ? net().client : "2001:db8::9";
  EXPECT_TRUE(same_frame(out.frame, in_tunnel(inner, source, silent)));
}

TEST_P(Direct, WhatIpipLeavesToTheKernelToFragmentStartsAtTheClientAndHasAnIdOfItsOwn) {
  if (family() == 6) return;  // there, senders fragment
  use_mode(SLUICE_IPIP, protocol(), {net().narrow_member});
  ASSERT_EQ(receive(from_client(protocol())).reason, "flow_created");
  auto large = from_client(protocol(), ACK);
  large.data = Bytes(1372);
  large.dont_fragment = false;
  large.id = 0x1234;
  auto inner = large;
  --inner.ttl;
  const auto out = receive(large);
  EXPECT_EQ(out.reason, "left_to_fragment");
  EXPECT_TRUE(same_frame(out.frame, in_tunnel(inner, net().client, net().narrow_member)));
}

// The kernel would send the packet to the VIP, not to this member.
TEST_P(Direct, APacketForADsrMemberIsNotLeftToTheKernel) {
  use_mode(SLUICE_DSR, protocol(), {family() == 4 ? "10.0.0.99" : "2001:db8::99"});
  const auto out = receive(from_client(protocol()));
  EXPECT_EQ(out.reason, "member_unresolved");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(receive(from_client(protocol())).reason, "member_unresolved");
}

TEST_P(Direct, AnErrorAboutAMembersDirectAnswerReachesTheMember) {
  use_mode(SLUICE_DSR, protocol());
  receive(from_client(protocol()));
  Packet answer = from_client(protocol(), ACK);  // turned around, as the member sends it
  std::swap(answer.source, answer.destination);
  std::swap(answer.source_port, answer.destination_port);
  auto error =
      icmp_error(net().other_client, net().vip, family() == 4 ? 3 : 1, 1, 0, answer.ip_bytes());
  error.source_mac = router_mac;
  error.destination_mac = lan_mac;
  const auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_TRUE(same_frame(out.frame, sent_on(error, lan_mac, member1_mac).bytes()));
}

using DirectOfBoth = BothFamilies;
FOR_BOTH_FAMILIES(DirectOfBoth);

TEST_P(DirectOfBoth, ADeterministicPoolAdoptsConnectionsFromTheirMiddle) {
  use_mode(SLUICE_DSR);
  put_pool(pool(), SLUICE_DSR, {member_index(1), member_index(2)}, SLUICE_SOURCE_IP_PORT);
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "flow_created");
  EXPECT_EQ(receive(from_client(L4::tcp, ACK)).reason, "forwarded");
  EXPECT_EQ(receive(from_client(L4::tcp, FIN | ACK, 40001)).reason, "no_flow");
  put_pool(pool(), SLUICE_FULLNAT, {member_index(1), member_index(2)}, SLUICE_SOURCE_IP_PORT);
  EXPECT_EQ(receive(from_client(L4::tcp, ACK, 40002)).reason, "no_flow");
}

// The member's FIN never passes us, so we can't tell whether the client's FIN is forged; the member
// can.
TEST_P(DirectOfBoth, ASynAfterTheClientsFinGoesToTheSameMember) {
  use_mode(SLUICE_DSR);
  receive(from_client());
  receive(from_client(L4::tcp, ACK));
  EXPECT_EQ(receive(from_client(L4::tcp, FIN | ACK)).reason, "forwarded");
  const auto syn = from_client();
  auto expected = syn;
  expected.source_mac = lan_mac;
  expected.destination_mac = member1_mac;
  --expected.ttl;
  const auto out = receive(syn);
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
}

// It has one slot, and a slot's stamp tells no more than 4 hours.
TEST_P(DirectOfBoth,
       AConnectionWithoutAnswersEndsAfterTheShorterOfItsIdleTimeAndThreeAndAHalfHours) {
  use_mode(SLUICE_DSR);
  set_idle_time(9, SLUICE_MAX_LONG_IDLE_SECONDS);
  receive(from_client());
  receive(from_client(L4::tcp, ACK));
  make_all_older(SLUICE_MAX_IDLE_SECONDS - 60);
  EXPECT_EQ(expire().expired, 0U);
  make_all_older(60 + 5 * SLUICE_TICK_SECONDS);
  EXPECT_EQ(expire().expired, 1U);
}

}  // namespace
}  // namespace sluice::test
