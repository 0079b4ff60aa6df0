// Packets for a VIP whose headers lie or are too long are dropped, each with its own reason, and
// never parsed past the frame.
#include <linux/bpf.h>

#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

constexpr std::size_t ip_offset = 14;
constexpr std::size_t tcp_offset = ip_offset + 20;

class Malformed : public World {
 protected:
  void expect_dropped(const Bytes& frame, const std::string& reason) {
    const Outcome out = receive(frame);
    EXPECT_EQ(out.reason, reason);
    EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_DROP));
    EXPECT_TRUE(flows().empty());
  }
  Bytes syn_with(std::size_t offset, std::uint8_t value) const {
    Bytes frame = from_client(SYN).bytes();
    frame[offset] = value;
    return frame;
  }
};

TEST_F(Malformed, VersionThatIsNotFour) {
  expect_dropped(syn_with(ip_offset, 0x65), "malformed_ipv4");
}

TEST_F(Malformed, HeaderLengthBelowTwenty) {
  expect_dropped(syn_with(ip_offset, 0x44), "malformed_ipv4");
}

TEST_F(Malformed, HeaderLengthBeyondTotalLength) {
  expect_dropped(syn_with(ip_offset, 0x4f), "malformed_ipv4");
}

TEST_F(Malformed, TotalLengthBeyondTheFrame) {
  expect_dropped(syn_with(ip_offset + 3, 41), "malformed_ipv4");
}

TEST_F(Malformed, TotalLengthBelowTheHeader) {
  expect_dropped(syn_with(ip_offset + 3, 19), "malformed_ipv4");
}

TEST_F(Malformed, TotalLengthThatCutsTheTcpHeader) {
  expect_dropped(syn_with(ip_offset + 3, 39), "malformed_tcp");
}

TEST_F(Malformed, TcpDataOffsetBelowFive) {
  expect_dropped(syn_with(tcp_offset + 12, 0x40), "malformed_tcp");
}

TEST_F(Malformed, TcpDataOffsetBeyondThePacket) {
  expect_dropped(syn_with(tcp_offset + 12, 0x60), "malformed_tcp");
}

TEST_F(Malformed, FrameCutAnywhereIsNeverForwarded) {
  const Bytes whole = from_client(SYN).bytes();
  for (std::size_t length = 14; length < whole.size(); ++length) {
    const Outcome out = receive(Bytes(whole.begin(), whole.begin() + length));
    EXPECT_TRUE(out.action == XDP_DROP || out.action == XDP_PASS) << length;
    // Without a complete IP header there is no destination, so the frame passes. With one, it is
    // dropped.
    EXPECT_EQ(out.action, static_cast<std::uint32_t>(length < tcp_offset ? XDP_PASS : XDP_DROP))
        << length;
  }
  EXPECT_TRUE(flows().empty());
}

TEST_F(Malformed, EchoRequestCutShort) {
  Ipv4Frame icmp = from_client(SYN).ip;
  icmp.protocol = 1;
  icmp.payload = {8, 0, 0, 0};
  expect_dropped(icmp.bytes(), "malformed_icmp");
}

TEST_F(Malformed, PacketOfAFlowIsDroppedToo) {
  establish();
  Bytes frame = from_client(ACK).bytes();
  frame[tcp_offset + 12] = 0x60;
  EXPECT_EQ(receive(frame).reason, "malformed_tcp");
  Bytes reply = from_member(1, 40000, ACK).bytes();
  reply[tcp_offset + 12] = 0x60;
  EXPECT_EQ(receive(reply).reason, "malformed_tcp");
}

// IPv6 headers that end beyond the limit of parsing.
class LongHeaders : public Traffic {
 protected:
  int family() const override { return 6; }
  static Bytes options(std::uint8_t type, std::size_t units, std::uint16_t port) {
    Bytes header(8 * (units + 1), 0);
    header[0] = type;
    header[1] = static_cast<std::uint8_t>(units);
    for (std::size_t at = 2; at + 2 <= header.size(); at += 2) {
      header[at] = static_cast<std::uint8_t>(port >> 8);
      header[at + 1] = static_cast<std::uint8_t>(port);
    }
    return header;
  }
};

// 4,096 bytes of options say "port 53" at every offset; the UDP header behind them says 9999, which
// has no listener.
TEST_F(LongHeaders, ADatagramCannotHideItsPortBehindFourKilobytesOfOptions) {
  auto datagram = from_client(L4::udp);
  datagram.destination_port = 9999;
  datagram.data = Bytes(100, 'x');  // "53" is a length that fits, too
  datagram.extensions = {options(0, 255, 53), options(60, 255, 53)};
  EXPECT_EQ(receive(datagram).reason, "headers_too_long");
  datagram.destination_port = 53;
  EXPECT_EQ(receive(datagram).reason, "headers_too_long");
  EXPECT_TRUE(flows6().empty());
}

TEST_F(LongHeaders, AFlowsPacketIsNotWrittenToAtTheWrongPlace) {
  establish(L4::udp);
  auto datagram = from_client(L4::udp);
  datagram.extensions = {options(0, 255, 53), options(60, 255, 53)};
  EXPECT_EQ(receive(datagram).reason, "headers_too_long");
}

TEST_F(LongHeaders, TheLastHeaderMayEndWhereTheLimitIs) {
  constexpr std::size_t ethernet = 14, fixed = 40, limit = 3072, tcp = 20;
  for (const auto protocol : {L4::tcp, L4::udp, L4::sctp}) {
    auto packet = from_client(protocol);
    const auto units = (limit - ethernet - fixed - 2048 - tcp) / 8;
    packet.extensions = {options(0, 255, 1), options(60, units - 1, 1)};
    EXPECT_EQ(receive(packet).reason, "too_big_sent") << static_cast<int>(protocol);
    packet.extensions.back() = options(60, units, 1);
    EXPECT_EQ(receive(packet).reason, "headers_too_long") << static_cast<int>(protocol);
  }
}

TEST_F(LongHeaders, AQuotedPacketsHeadersEndThereToo) {
  establish(L4::udp);
  auto quoted = at_client(from_member(1, L4::udp));
  quoted.extensions = {options(60, 255, 53), options(60, 255, 53)};
  auto error = icmp_error(net().other_client, net().vip, 1, 1, 0, quoted.ip_bytes());
  error.source_mac = router_mac;
  error.destination_mac = lan_mac;
  EXPECT_EQ(receive(error).reason, "headers_too_long");
}

TEST_F(LongHeaders, SomebodyElsesPassUntouched) {
  auto datagram = from_client(L4::udp);
  datagram.destination = net().somebody;
  datagram.extensions = {options(0, 255, 53), options(60, 255, 53)};
  const auto out = receive(datagram);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_TRUE(same_frame(out.frame, datagram.bytes()));
}

}  // namespace
}  // namespace sluice::test
