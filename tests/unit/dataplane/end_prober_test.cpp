// What makes the ends of a connection speak: from whom to whom, and the packet.
#include "dataplane/end_prober.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "kernel/address.hpp"

namespace sluice::dataplane {
namespace {

IpAddress ip(const char* text) {
  return boost::asio::ip::make_address(text);
}

__be32 be32(const char* text) {
  return htonl(ip(text).to_v4().to_uint());
}

sluice_flow4 fullnat4() {
  sluice_flow4 slot{};
  slot.source = be32("203.0.0.5");
  slot.source_port = htons(40000);
  slot.destination = slot.new_source = be32("10.0.0.16");
  slot.destination_port = htons(80);
  slot.new_source_port = htons(50000);
  slot.new_destination = be32("10.9.0.7");
  slot.new_destination_port = htons(8080);
  return slot;
}

sluice_flow6 slot6(const char* other) {
  sluice_flow6 slot{};
  slot.source = kernel::to_map(ip("2001:db8::5"));
  slot.source_port = htons(40000);
  slot.destination = kernel::to_map(ip("2001:db8::16"));
  slot.destination_port = htons(80);
  slot.new_source_port = htons(50000);
  slot.new_destination_port = htons(8080);
  slot.other = kernel::to_map(ip(other));
  return slot;
}

TEST(EndProbes, GoToBothEndsEachInTheNameThatItKnows) {
  const auto probes = end_probes(fullnat4());
  EXPECT_EQ(probes.client, (EndProbe{ip("10.0.0.16"), ip("203.0.0.5"), 80, 40000}));
  EXPECT_EQ(probes.member, (EndProbe{ip("10.0.0.16"), ip("10.9.0.7"), 50000, 8080}));
  auto slot = slot6("2001:db8::7");
  sluice_member member{};
  member.address = kernel::to_map(ip("2001:db8::7"));
  const EndProbe client{ip("2001:db8::16"), ip("2001:db8::5"), 80, 40000};
  EXPECT_EQ(end_probes(slot, member).client, client);
  EXPECT_EQ(end_probes(slot, member).member,
            (EndProbe{ip("2001:db8::16"), ip("2001:db8::7"), 50000, 8080}));
  slot.state = SLUICE_FLOW_KEEPS_CLIENT;
  member.flags = SLUICE_MEMBER_DNAT;
  EXPECT_EQ(end_probes(slot, member).client, client);
  EXPECT_EQ(end_probes(slot, member).member,
            (EndProbe{ip("2001:db8::5"), ip("2001:db8::7"), 50000, 8080}));
  member.flags = 0;  // with a SNAT address
  slot.other = kernel::to_map(ip("2001:db8::18"));
  EXPECT_EQ(end_probes(slot, member).client, client);
  EXPECT_EQ(end_probes(slot, member).member,
            (EndProbe{ip("2001:db8::18"), ip("2001:db8::7"), 50000, 8080}));
}

TEST(EndProbes, DoNotGoToMembersThatAnswerDirectly) {
  auto slot = fullnat4();
  slot.new_source = slot.source;
  slot.new_destination = slot.destination;
  EXPECT_FALSE(end_probes(slot).member);
  auto direct = slot6("2001:db8::16");
  direct.state = SLUICE_FLOW_KEEPS_CLIENT;
  sluice_member member{};
  member.flags = SLUICE_MEMBER_DSR;
  EXPECT_FALSE(end_probes(direct, member).member);
}

// Sums 16-bit words in network byte order, with the carries added.
std::uint32_t sum(const std::vector<std::uint8_t>& packet, std::size_t from, std::uint32_t start) {
  for (; from < packet.size(); from += 2) start += packet[from] * 256U + packet[from + 1];
  while (start >> 16 != 0) start = (start & 0xffff) + (start >> 16);
  return start;
}

TEST(EndProbes, AreAcknowledgementsWithoutDataAndWithARightChecksum) {
  const auto four = packet_of(end_probes(fullnat4()).client, 0x01020304, 0xa1a2a3a4);
  ASSERT_EQ(four.size(), 40U);
  EXPECT_EQ(four[0], 0x45);
  EXPECT_EQ(four[3], 40) << "total length";
  EXPECT_EQ(four[9], 6);
  EXPECT_EQ(std::vector(four.begin() + 12, four.begin() + 34),
            (std::vector<std::uint8_t>{10,   0, 0, 16, 203, 0,    0,    5,    0,    80,   0x9c,
                                       0x40, 1, 2, 3,  4,   0xa1, 0xa2, 0xa3, 0xa4, 0x50, 0x10}));
  EXPECT_EQ(sum(four, 12, 6 + 20), 0xffffU) << "with the pseudo header";
  const auto six = packet_of(end_probes(slot6("2001:db8::7"), {}).client, 1, 2);
  ASSERT_EQ(six.size(), 60U);
  EXPECT_EQ(six[0], 0x60);
  EXPECT_EQ(six[5], 20);
  EXPECT_EQ(six[6], 6);
  EXPECT_EQ(sum(six, 8, 6 + 20), 0xffffU);
}

}  // namespace
}  // namespace sluice::dataplane
