// Packets of a connection that is open, both ways.
#include <linux/bpf.h>

#include "packet/world.hpp"

namespace sluice::test {
namespace {

using Established = World;

TEST_F(Established, DataGoesToTheMemberAndBackWithEveryHeaderRight) {
  ASSERT_EQ(establish(), 1);
  const TcpFrame request = from_client(ACK | PSH, 40000, "GET / HTTP/1.0\r\n\r\n");
  Outcome out = receive(request);
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_TRUE(same_frame(out.frame, at_member(request, 1, 40000).bytes()));

  const TcpFrame answer = from_member(1, 40000, ACK | PSH, "HTTP/1.0 200 OK\r\n\r\nodd");
  out = receive(answer);
  EXPECT_EQ(out.reason, "replied");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(same_frame(out.frame, at_client(answer).bytes()));
}

TEST_F(Established, DnatRepliesComeFromTheVip) {
  put_pool(0, SLUICE_DNAT, {0});
  receive(from_client(SYN));
  TcpFrame reply = from_member(1, 40000, SYN | ACK);
  reply.ip.destination = client;
  EXPECT_TRUE(same_frame(receive(reply).frame, at_client(reply).bytes()));
}

TEST_F(Established, ChecksumsStayRightForManyTuples) {
  // Ports and payloads walk through the 16-bit space, so that the checksum carries at every place.
  put_pool(0, SLUICE_FULLNAT, {0});
  for (std::uint32_t i = 0; i < 50; ++i) {
    const auto port = static_cast<std::uint16_t>(1024 + i * 1289);
    TcpFrame syn = from_client(SYN, port);
    syn.sequence = i * 0x05050505U;
    syn.ip.ttl = static_cast<std::uint8_t>(255 - i);
    EXPECT_TRUE(same_frame(receive(syn).frame, at_member(syn, 1, port).bytes())) << port;
    TcpFrame reply = from_member(1, port, SYN | ACK, std::string(i, '\xff'));
    EXPECT_TRUE(same_frame(receive(reply).frame, at_client(reply, port).bytes())) << port;
  }
}

TEST_F(Established, AWrongChecksumStaysWrongByTheSameAmount) {
  establish();
  constexpr std::size_t tcp_checksum_offset = 14 + 20 + 16;
  Bytes damaged = from_client(ACK, 40000, "x").bytes();
  damaged[tcp_checksum_offset] ^= 0x40;
  const Outcome out = receive(damaged);
  EXPECT_EQ(out.reason, "forwarded");
  const Bytes healthy = at_member(from_client(ACK, 40000, "x"), 1, 40000).bytes();
  EXPECT_NE(out.frame, healthy);
  Bytes without_checksum = out.frame;
  Bytes healthy_without_checksum = healthy;
  for (Bytes* frame : {&without_checksum, &healthy_without_checksum}) {
    (*frame)[tcp_checksum_offset] = (*frame)[tcp_checksum_offset + 1] = 0;
  }
  EXPECT_TRUE(same_frame(without_checksum, healthy_without_checksum));
}

TEST_F(Established, IpOptionsAndTcpOptionsArePassedOn) {
  TcpFrame syn = from_client(SYN);
  syn.ip.options = {0x94, 0x04, 0x00, 0x00};  // router alert (RFC 2113)
  syn.options = {0x02, 0x04, 0x05, 0xb4};     // MSS 1460
  EXPECT_TRUE(same_frame(receive(syn).frame, at_member(syn, 1, 40000).bytes()));
}

TEST_F(Established, EthernetPaddingIsKept) {
  establish();
  Bytes padded = from_client(ACK).bytes();
  Bytes expected = at_member(from_client(ACK), 1, 40000).bytes();
  for (Bytes* frame : {&padded, &expected}) frame->resize(60, 0xaa);
  EXPECT_TRUE(same_frame(receive(padded).frame, expected));
}

TEST_F(Established, TypeOfServiceIsKept) {
  establish();
  TcpFrame data = from_client(ACK, 40000, "x");
  data.ip.tos = 0xb8;
  EXPECT_TRUE(same_frame(receive(data).frame, at_member(data, 1, 40000).bytes()));
}

TEST_F(Established, TtlOneIsNotForwarded) {
  establish();
  TcpFrame data = from_client(ACK, 40000, "x");
  data.ip.ttl = 1;
  EXPECT_EQ(receive(data).reason, "time_exceeded_sent");
  TcpFrame reply = from_member(1, 40000, ACK, "x");
  reply.ip.ttl = 1;
  EXPECT_EQ(receive(reply).reason, "time_exceeded_sent");
}

TEST_F(Established, PacketsAndBytesAreCountedForListenerAndMember) {
  put_pool(0, SLUICE_FULLNAT, {1});
  establish();  // SYN and ACK in, SYN-ACK out: 54 bytes each
  const TcpFrame data = from_client(ACK, 40000, "12345");
  receive(data);
  for (const sluice_counters& c : {listener_counters(0), member_counters(1)}) {
    EXPECT_EQ(c.packets_in, 3U);
    EXPECT_EQ(c.bytes_in, 3 * 54U + 5);
    EXPECT_EQ(c.packets_out, 1U);
    EXPECT_EQ(c.bytes_out, 54U);
    EXPECT_EQ(c.flows_opened, 1U);
    EXPECT_EQ(c.flows_ended, 0U);
  }
  EXPECT_EQ(member_counters(0).packets_in, 0U);
}

TEST_F(Established, RemovedListenerLeavesItsConnectionsAlone) {
  establish();
  remove_listener(vip, 80);
  ASSERT_EQ(receive(from_client(SYN, 40001)).reason, "no_listener");
  const TcpFrame data = from_client(ACK | PSH, 40000, "still here");
  EXPECT_TRUE(same_frame(receive(data).frame, at_member(data, 1, 40000).bytes()));
}

}  // namespace
}  // namespace sluice::test
