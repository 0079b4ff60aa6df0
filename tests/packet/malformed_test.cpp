// Packets for a VIP whose headers lie: dropped, each with its own reason, and never parsed past the
// frame.
#include <linux/bpf.h>

#include "packet/world.hpp"

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
    // Without a whole IP header there is no destination: not ours. After that it is, and it is
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

}  // namespace
}  // namespace sluice::test
