// The data plane answers ARP and ping for VIPs, and only for them.
#include <linux/bpf.h>

#include "packet/world.hpp"

namespace sluice::test {
namespace {

using Answer = World;

ArpFrame who_has(const std::string& target) {
  ArpFrame request;
  request.source_mac = request.sender_mac = neighbour_mac;
  request.sender = "10.0.0.77";
  request.target = target;
  return request;
}

TEST_F(Answer, ArpRequestForAVipIsAnsweredWithTheNicsMac) {
  const Outcome out = receive(who_has(vip).bytes());
  EXPECT_EQ(out.reason, "arp_answered");
  EXPECT_EQ(out.action, transmitted);
  ArpFrame reply;
  reply.operation = 2;
  reply.source_mac = reply.sender_mac = lan_mac;
  reply.destination_mac = reply.target_mac = neighbour_mac;
  reply.sender = vip;
  reply.target = "10.0.0.77";
  EXPECT_TRUE(same_frame(out.frame, reply.bytes()));
}

TEST_F(Answer, UnicastArpProbeForAVipIsAnswered) {
  ArpFrame request = who_has(vip);
  request.destination_mac = lan_mac;
  EXPECT_EQ(receive(request.bytes()).reason, "arp_answered");
}

TEST_F(Answer, ArpForAHostAddressIsTheHosts) {
  const Bytes request = who_has("10.0.0.9").bytes();
  const Outcome out = receive(request);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_TRUE(same_frame(out.frame, request));
}

TEST_F(Answer, ArpReplyAndAnnouncementOfAVipAreTheHosts) {
  ArpFrame reply = who_has(vip);
  reply.operation = 2;
  EXPECT_EQ(receive(reply.bytes()).reason, "not_ours");
  ArpFrame announcement = who_has(vip);
  announcement.sender = vip;
  EXPECT_EQ(receive(announcement.bytes()).reason, "not_ours");
}

TEST_F(Answer, ArpIsAnsweredWhileTheLoadBalancerIsDown) {
  put_vip(vip, false);
  EXPECT_EQ(receive(who_has(vip).bytes()).reason, "arp_answered");
}

TEST_F(Answer, ShortArpFrameIsTheHosts) {
  Bytes request = who_has(vip).bytes();
  request.resize(30);
  EXPECT_EQ(receive(request).reason, "not_ours");
}

EchoFrame ping(std::uint16_t sequence = 1) {
  EchoFrame echo;
  echo.ip.source_mac = router_mac;
  echo.ip.destination_mac = lan_mac;
  echo.ip.source = client;
  echo.ip.destination = vip;
  echo.ip.ttl = 57;
  echo.sequence = sequence;
  return echo;
}

EchoFrame pong(const EchoFrame& request) {
  EchoFrame reply = request;
  reply.type = 0;
  reply.ip.source_mac = lan_mac;
  reply.ip.destination_mac = request.ip.source_mac;
  reply.ip.source = request.ip.destination;
  reply.ip.destination = request.ip.source;
  reply.ip.ttl = 64;
  return reply;
}

TEST_F(Answer, PingOfAVipIsAnswered) {
  const Outcome out = receive(ping().bytes());
  EXPECT_EQ(out.reason, "echo_answered");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, pong(ping()).bytes()));
}

TEST_F(Answer, PingChecksumIsRightInEveryCarryCase) {
  // The sequence number moves the checksum through its 2^16 values; every 97th is tested, and those
  // around the carry.
  for (std::uint32_t sequence = 0; sequence < 0x10000; sequence += 97) {
    const auto echo = ping(static_cast<std::uint16_t>(sequence));
    ASSERT_TRUE(same_frame(receive(echo.bytes()).frame, pong(echo).bytes())) << sequence;
  }
  EchoFrame echo = ping();
  for (std::uint32_t ttl : {1, 2, 63, 64, 65, 255}) {
    echo.ip.ttl = static_cast<std::uint8_t>(ttl);
    ASSERT_TRUE(same_frame(receive(echo.bytes()).frame, pong(echo).bytes())) << ttl;
  }
}

TEST_F(Answer, PingOfADisabledLoadBalancerIsNotAnswered) {
  put_vip(vip, false);
  EXPECT_EQ(receive(ping().bytes()).reason, "vip_down");
}

TEST_F(Answer, AStandbyAnswersNeitherArpNorPingAndCarriesWhatComes) {
  put_vip(vip, true, SLUICE_VIP_STANDBY);
  const Bytes request = who_has(vip).bytes();
  const Outcome asked = receive(request);
  EXPECT_EQ(asked.reason, "not_ours");
  EXPECT_TRUE(same_frame(asked.frame, request));
  EXPECT_EQ(receive(ping().bytes()).reason, "vip_standby");
  EXPECT_EQ(receive(from_client(SYN).bytes()).reason, "flow_created");
}

TEST_F(Answer, PingOfAHostAddressIsTheHosts) {
  EchoFrame echo = ping();
  echo.ip.destination = "10.0.0.9";
  const Outcome out = receive(echo.bytes());
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_TRUE(same_frame(out.frame, echo.bytes()));
}

TEST_F(Answer, OtherIcmpToAVipIsDropped) {
  EchoFrame timestamp = ping();
  timestamp.type = 13;
  EXPECT_EQ(receive(timestamp.bytes()).reason, "unsupported_protocol");
}

TEST_F(Answer, UdpToAVipWithoutListenerIsDropped) {
  Ipv4Frame udp = ping().ip;
  udp.protocol = 17;
  udp.payload = {0x30, 0x39, 0x00, 0x35, 0x00, 0x08, 0x00, 0x00};
  EXPECT_EQ(receive(udp.bytes()).reason, "no_listener");
}

}  // namespace
}  // namespace sluice::test
