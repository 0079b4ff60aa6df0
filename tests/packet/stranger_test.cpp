// Packets that no honest client sends and that would deceive their receiver are dropped, each for
// its own reason, or not answered.
#include <arpa/inet.h>

#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Stranger : public BothFamilies {
 protected:
  std::string reason(const Packet& packet) { return receive(packet).reason; }
  std::string reason(const Bytes& frame) { return receive(frame).reason; }
};
FOR_BOTH_FAMILIES(Stranger);

class StrangerIpv6 : public Traffic {
 protected:
  int family() const override { return 6; }
  static Bytes routing(std::uint8_t type, std::uint8_t segments_left) {
    Bytes header(24, 0);
    header[0] = 43;
    header[1] = 2;
    header[2] = type;
    header[3] = segments_left;
    return header;
  }
};
class StrangerIpv4 : public Traffic {
 protected:
  int family() const override { return 4; }
  static Packet with_options(Packet packet, Bytes options) {
    packet.ip_options = std::move(options);
    return packet;
  }
};

// A listener that admits 203.0.113.0/24 only.
TEST_F(StrangerIpv6, AnIpv4AddressInAnIpv6OneIsNobodysSource) {
  auto restricted = listener(pool(), 9);
  restricted.flags = SLUICE_LISTENER_RESTRICTED;
  put_listener(net().vip, 80, L4::tcp, restricted);
  allow(9, "203.0.113.0", 24);
  for (const char* source : {"::ffff:203.0.113.5", "::203.0.113.5", "::ffff:0:0", "::2"}) {
    auto syn = from_client();
    syn.source = source;
    EXPECT_EQ(receive(syn).reason, "martian_source") << source;
  }
}

TEST_F(StrangerIpv6, ARoutingHeaderThatGoesOnIsRefusedWhateverItsType) {
  for (const std::uint8_t type : {0, 2, 4, 99}) {
    auto syn = from_client(L4::tcp, SYN, static_cast<std::uint16_t>(41000 + type));
    syn.extensions = {routing(type, 1)};
    EXPECT_EQ(receive(syn).reason, "source_routed") << int{type};
    syn.extensions = {routing(type, 0)};
    EXPECT_EQ(receive(syn).reason, "flow_created") << "it has arrived: " << int{type};
  }
  establish();
  auto data = from_client(L4::tcp, ACK);
  data.extensions = {routing(4, 2)};
  EXPECT_EQ(receive(data).reason, "source_routed") << "in a flow, too";
}

TEST_F(StrangerIpv6, HopByHopOptionsComeFirstOrNotAtAll) {
  auto syn = from_client();
  syn.extensions = {{60, 0, 1, 4, 0, 0, 0, 0}, {0, 0, 1, 4, 0, 0, 0, 0}};
  EXPECT_EQ(receive(syn).reason, "misplaced_header");
  std::swap(syn.extensions[0], syn.extensions[1]);
  EXPECT_EQ(receive(syn).reason, "flow_created");
}

TEST_F(StrangerIpv4, ASourceRouteIsRefusedUnlessItIsAtItsEnd) {
  std::uint16_t port = 41000;
  for (const std::uint8_t type : {131, 137}) {
    for (const Bytes& before : {Bytes{}, Bytes{1, 1, 1, 1}, Bytes{7, 7, 4, 0, 0, 0, 0, 1}}) {
      const Bytes goes_on{type, 7, 4, 10, 0, 0, 1, 0}, arrived{type, 7, 8, 10, 0, 0, 1, 0};
      auto options = before;
      options.insert(options.end(), goes_on.begin(), goes_on.end());
      EXPECT_EQ(receive(with_options(from_client(L4::tcp, SYN, ++port), options)).reason,
                "source_routed");
      options = before;
      options.insert(options.end(), arrived.begin(), arrived.end());
      EXPECT_EQ(receive(with_options(from_client(L4::tcp, SYN, ++port), options)).reason,
                "flow_created");
    }
  }
  // A recorded route is harmless; an option with a wrong length is not.
  EXPECT_EQ(
      receive(with_options(from_client(L4::tcp, SYN, ++port), {7, 7, 4, 0, 0, 0, 0, 0})).reason,
      "flow_created");
  for (const Bytes& lie :
       {Bytes{7, 0, 0, 0}, Bytes{7, 1, 0, 0}, Bytes{1, 1, 1, 7}, Bytes{7, 9, 4, 0}})
    EXPECT_EQ(receive(with_options(from_client(L4::tcp, SYN, ++port), lie)).reason,
              "malformed_ipv4");
}

TEST_F(StrangerIpv4, AWrongHeaderChecksumOpensNothingAndIsNotAnswered) {
  const auto damaged = [](const Packet& packet) {
    auto frame = packet.bytes();
    frame[14 + 10] ^= 0x40;
    return frame;
  };
  EXPECT_EQ(receive(damaged(from_client())).reason, "ipv4_checksum");
  EXPECT_EQ(receive(damaged(from_client(L4::udp))).reason, "ipv4_checksum");
  EXPECT_EQ(receive(damaged(with_options(from_client(), {1, 1, 1, 1}))).reason, "ipv4_checksum");
  auto ping = icmp_error(net().client, net().vip, 8, 0, 1, text("ping"));
  ping.source_mac = router_mac;
  ping.destination_mac = lan_mac;
  EXPECT_EQ(receive(damaged(ping)).reason, "ipv4_checksum");
  put_vip(net().vip, true, SLUICE_VIP_REJECTS);
  EXPECT_EQ(receive(damaged(from_client(L4::tcp, ACK))).reason, "ipv4_checksum");
  EXPECT_EQ(flows().size(), 0U);
  establish();
  auto last = from_client(L4::tcp, ACK);
  last.ttl = 1;
  EXPECT_EQ(receive(damaged(last)).reason, "ttl_exceeded");
  // In a flow the checksum stays wrong by as much, and the receiver notices.
  const auto data = from_client(L4::tcp, ACK);
  auto expected = at_member(data).bytes();
  const auto out = receive(damaged(data));
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_FALSE(same_frame(out.frame, expected));
}

TEST_P(Stranger, AnInitHasNoTagAndEverythingElseHasOne) {
  auto init = from_client(L4::sctp);
  init.tag = 1;
  EXPECT_EQ(reason(init), "sctp_tag");
  establish(L4::sctp);
  auto abort = from_client(L4::sctp, RST);
  abort.tag = 0;
  EXPECT_EQ(reason(abort), "sctp_tag") << "whoever gets it ignores it";
  EXPECT_EQ(listener_counters(9).flows_ended, 0U);
}

TEST_P(Stranger, AFragmentMayNotOverwriteTheHeaderOfItsPacket) {
  for (const L4 protocol : {L4::tcp, L4::sctp, L4::udp}) {
    auto packet = from_client(protocol);
    packet.data = Bytes(200, 'x');
    EXPECT_EQ(reason(packet.fragment(0, 64, true)), "flow_created");
    EXPECT_EQ(reason(packet.fragment(8, 64, true)),
              protocol == L4::udp ? "forwarded" : "bad_fragment");
    EXPECT_EQ(reason(packet.fragment(16, 64, true)),
              protocol == L4::tcp ? "bad_fragment" : "forwarded");
    EXPECT_EQ(reason(packet.fragment(24, 64, false)), "forwarded");
  }
}

TEST_P(Stranger, AFragmentMayNotEndBeyondWhatAPacketCanHold) {
  auto packet = from_client(L4::udp);
  packet.data = Bytes(200, 'x');
  EXPECT_EQ(reason(packet.fragment(0, 64, true)), "flow_created");
  auto last = packet.fragment(64, 64, false);
  const auto set_offset = [&](std::uint32_t units) {
    const std::size_t at = family() == 4 ? 14 + 6 : 14 + 40 + 2;
    const std::uint32_t field = family() == 4 ? units : units << 3;
    last[at] = static_cast<std::uint8_t>(field >> 8);
    last[at + 1] = static_cast<std::uint8_t>(field);
  };
  set_offset(8191);
  EXPECT_EQ(reason(last), "bad_fragment");
  set_offset(8191 - 8);  // 64 bytes from there are 65,528 in all
  EXPECT_EQ(reason(last), family() == 4 ? "bad_fragment" : "forwarded") << "IPv4 counts its header";
  set_offset(8191 - 11);
  EXPECT_EQ(reason(last), "forwarded");
}

class Solicitation : public Traffic {
 protected:
  int family() const override { return 6; }
  Packet who_has(const Bytes& option = {1, 1, 2, 0, 0, 0, 0, 0x77}) const {
    auto p = icmp_error("2001:db8::77", "ff02::1:ff00:16", 135, 0, 0, Bytes(16));
    inet_pton(AF_INET6, net().vip.c_str(), p.data.data());
    p.data.insert(p.data.end(), option.begin(), option.end());
    p.ttl = 255;
    p.source_mac = neighbour_mac;
    p.destination_mac = {0x33, 0x33, 0xff, 0, 0, 0x16};
    return p;
  }
};

TEST_F(Solicitation, OfAVipIsAnsweredIfItIsInOrder) {
  EXPECT_EQ(receive(who_has()).reason, "nd_answered");
  put_vip(net().vip, true, SLUICE_VIP_STANDBY);
  EXPECT_EQ(receive(who_has()).reason, "not_our_mac") << "another node answers";
  put_vip(net().vip, true);
  auto wrong = who_has();
  wrong.checksum = 0x1234;
  EXPECT_EQ(receive(wrong).reason, "not_our_mac");
  EXPECT_EQ(receive(who_has({1, 0, 2, 0, 0, 0, 0, 0x77})).reason, "not_our_mac");
  EXPECT_EQ(receive(who_has({1, 2, 2, 0, 0, 0, 0, 0x77})).reason, "not_our_mac");
  auto group = who_has();
  group.source = "ff02::1";
  EXPECT_EQ(receive(group).reason, "not_our_mac");
}

// RFC 4862, 5.4.3; with the nonce of RFC 7527, as Linux sends it, and without.
TEST_F(Solicitation, WhoAsksWhetherHeMayHaveAVipIsToldThatItIsTaken) {
  for (const Bytes& option : {Bytes{14, 1, 1, 2, 3, 4, 5, 6}, Bytes{}}) {
    auto question = who_has(option);
    question.source = "::";
    auto expected = question;
    expected.source = net().vip;
    expected.destination = "ff02::1";
    expected.source_mac = lan_mac;
    expected.destination_mac = {0x33, 0x33, 0, 0, 0, 1};
    expected.type = 136;
    expected.rest = 0x20000000;  // override, and nobody solicited it
    if (!option.empty()) expected.data = Bytes(expected.data.begin(), expected.data.begin() + 16);
    if (!option.empty()) expected.data.insert(expected.data.end(), {2, 1, 2, 0, 0, 0, 0, 9});
    const auto out = receive(question);
    EXPECT_EQ(out.reason, "nd_answered");
    EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  }
  auto with_a_mac = who_has();
  with_a_mac.source = "::";
  EXPECT_EQ(receive(with_a_mac).reason, "not_our_mac") << "nowhere has none";
  auto unicast = who_has({});
  unicast.source = "::";
  unicast.destination = net().vip;
  unicast.destination_mac = lan_mac;
  EXPECT_NE(receive(unicast).reason, "nd_answered");
}

// Errors about a flow's packets.
class StrangersErrors : public Stranger {
 protected:
  std::uint8_t unreachable() const { return family() == 4 ? 3 : 1; }
  // An error about the member's packet as the client got it.
  Packet error(const std::string& from, const std::string& to) const {
    auto e = icmp_error(from, to, unreachable(), 1, 0,
                        at_client(from_member(1, L4::tcp, ACK)).ip_bytes());
    e.source_mac = router_mac;
    e.destination_mac = lan_mac;
    return e;
  }
};
FOR_BOTH_FAMILIES(StrangersErrors);

TEST_P(StrangersErrors, AreForWhomThePacketCameFrom) {
  establish();
  const std::string other_vip = family() == 4 ? "10.0.0.17" : "2001:db8::17";
  const std::string host = family() == 4 ? "10.0.0.9" : "2001:db8::9";
  put_vip(other_vip);
  EXPECT_EQ(reason(error(net().router, net().vip)), "icmp_forwarded");
  EXPECT_EQ(reason(error(net().router, other_vip)), "icmp_misdirected");
  const auto hosts = error(net().router, host);
  const auto out = receive(hosts);
  EXPECT_EQ(out.reason, "not_ours") << "the host's own";
  EXPECT_TRUE(same_frame(out.frame, hosts.bytes()));
}

TEST_P(StrangersErrors, DontComeFromWhereNobodyIs) {
  establish();
  for (const std::string& from : {net().vip, std::string(family() == 4 ? "127.0.0.1" : "::1"),
                                  std::string(family() == 4 ? "224.0.0.1" : "ff02::1")})
    EXPECT_EQ(reason(error(from, net().vip)), "martian_source") << from;
}

}  // namespace
}  // namespace sluice::test
