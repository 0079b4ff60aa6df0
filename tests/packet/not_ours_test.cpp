// Traffic that isn't ours passes, byte for byte, whatever is odd about it.
#include <linux/bpf.h>

#include "packet/world.hpp"

namespace sluice::test {
namespace {

class NotOurs : public World {
 protected:
  void expect_untouched(const Bytes& frame, const std::string& reason = "not_ours") {
    const Outcome out = receive(frame);
    EXPECT_EQ(out.reason, reason);
    EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_PASS));
    EXPECT_TRUE(same_frame(out.frame, frame));
  }
  TcpFrame to_host(std::uint8_t flags = SYN) const {
    TcpFrame frame = from_client(flags);
    frame.ip.destination = "10.0.0.9";
    frame.destination_port = 22;
    return frame;
  }
};

// With many addresses the controller has the large filter asked. Here it knows these only.
class LargeFilter : public NotOurs {
 protected:
  // The value of complete_for with which it is asked.
  static constexpr std::uint64_t complete = 1;
};

TEST_F(LargeFilter, IsAskedInPlaceOfTheSmallOne) {
  put_large_filter({}, complete);
  expect_untouched(from_client(ACK).bytes());
  expect_untouched(to_host(ACK).bytes());
}

TEST_F(LargeFilter, LetsVipsAndMembersThrough) {
  put_large_filter({vip, member1, member2}, complete);
  EXPECT_EQ(receive(from_client(ACK).bytes()).reason, "no_flow");
  EXPECT_EQ(receive(from_client(SYN).bytes()).reason, "flow_created");
  expect_untouched(to_host(ACK).bytes());
}

TEST_F(LargeFilter, IsAskedAboutMartiansToo) {
  put_vip("10.0.0.18");
  TcpFrame frame = from_client(SYN);
  frame.ip.source = "10.0.0.18";
  put_large_filter({vip, "10.0.0.18"}, complete);
  EXPECT_EQ(receive(frame.bytes()).reason, "martian_source");
}

// Only the filter in `runtime` is right after a controller that knows no other.
TEST_F(LargeFilter, IsNotAskedWhenAnOlderControllerHasChangedSomething) {
  for (const auto complete_for : {complete - 1, complete + 1}) {
    put_large_filter({}, complete_for);
    EXPECT_EQ(receive(from_client(ACK).bytes()).reason, "no_flow") << complete_for;
  }
  put_large_filter({}, complete);
  raise_next_hop_generation();
  EXPECT_EQ(receive(from_client(ACK).bytes()).reason, "no_flow");
}

TEST_F(NotOurs, SshToTheHostPasses) {
  expect_untouched(to_host(SYN).bytes());
  expect_untouched(to_host(ACK | PSH).bytes());
}

TEST_F(NotOurs, ForwardedTrafficOfTheHostPasses) {
  TcpFrame through = from_client(SYN);
  through.ip.destination = member1;
  expect_untouched(through.bytes());
}

TEST_F(NotOurs, AMembersOwnConnectionsPass) {
  TcpFrame outbound = from_member(1, 443, SYN);
  outbound.source_port = 50000;
  outbound.ip.destination = "198.51.100.7";
  expect_untouched(outbound.bytes());
}

TEST_F(NotOurs, Ipv6Passes) {
  Bytes frame = to_host().bytes();
  frame[12] = 0x86;
  frame[13] = 0xdd;
  expect_untouched(frame);
}

TEST_F(NotOurs, UnknownEthertypePasses) {
  Bytes frame = to_host().bytes();
  frame[12] = 0x88;
  frame[13] = 0xcc;
  expect_untouched(frame);
}

TEST_F(NotOurs, FragmentOfHostTrafficPasses) {
  TcpFrame first = to_host();
  first.ip.fragment = 0x2000;
  expect_untouched(first.bytes());
  first.ip.fragment = 0x00b9;
  expect_untouched(first.bytes());
}

TEST_F(NotOurs, HostTrafficWithLyingLengthsPasses) {
  Bytes frame = to_host().bytes();
  frame[14] = 0x42;  // ihl 8 bytes
  expect_untouched(frame);
  frame = to_host().bytes();
  frame[16] = 0xff;  // total length beyond the frame
  expect_untouched(frame);
  frame = to_host().bytes();
  frame[14 + 20 + 12] = 0xf0;  // TCP data offset beyond the packet
  expect_untouched(frame);
  frame = to_host().bytes();
  frame.resize(14 + 20 + 10);  // cut inside the TCP header
  expect_untouched(frame);
  frame.resize(14 + 10);  // cut inside the IP header
  expect_untouched(frame);
}

TEST_F(NotOurs, FrameForAnotherMacPassesEvenWhenItIsForAVip) {
  TcpFrame flooded = from_client(SYN);
  flooded.ip.destination_mac = neighbour_mac;
  expect_untouched(flooded.bytes(), "not_our_mac");
  flooded.ip.destination_mac = broadcast_mac;
  expect_untouched(flooded.bytes(), "not_our_mac");
}

TEST_F(NotOurs, TheOtherNicsMacIsNotThisNicsMac) {
  TcpFrame frame = from_client(SYN);
  frame.ip.destination_mac = dmz_mac;
  expect_untouched(frame.bytes(), "not_our_mac");
}

}  // namespace
}  // namespace sluice::test
