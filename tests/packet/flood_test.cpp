// SYN floods: half-open connections make way for each other, never established ones for them.
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Flood : public BothFamilies {
 protected:
  // A SYN from one of many addresses.
  Packet spoofed(std::uint32_t i) const {
    auto syn = from_client(L4::tcp, SYN, static_cast<std::uint16_t>(1024 + i));
    syn.source = family() == 4
                     ? "198.51." + std::to_string(i / 250 % 250) + "." + std::to_string(1 + i % 250)
                     : "2001:db8:f::" + std::to_string(1 + i % 9000);
    return syn;
  }
  std::string flood(std::uint32_t count) {
    std::string last;
    for (std::uint32_t i = 0; i < count; ++i) last = receive(spoofed(i)).reason;
    return last;
  }
  std::size_t slots() { return family() == 4 ? flows().size() - 0 : flows6().size(); }
};
FOR_BOTH_FAMILIES(Flood);

TEST_P(Flood, HalfOpenConnectionsAreBounded) {
  flood(6 * half_open_limit);
  EXPECT_LE(slots(), 2 * half_open_limit);
  EXPECT_GT(slots(), half_open_limit);
}

TEST_P(Flood, EstablishedConnectionsLiveOn) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  for (std::uint16_t port = 50000; port < 50040; ++port) establish(L4::tcp, port);
  flood(6 * half_open_limit);
  for (std::uint16_t port = 50000; port < 50040; ++port) {
    const auto data = from_client(L4::tcp, ACK, port);
    const auto out = receive(data);
    EXPECT_EQ(out.reason, "forwarded") << port;
    EXPECT_TRUE(same_frame(out.frame, at_member(data).bytes()));
  }
}

TEST_P(Flood, AHandshakeInBetweenSucceeds) {
  flood(6 * half_open_limit);
  int succeeded = 0;
  for (std::uint16_t port = 50000; port < 50020; ++port) {
    const auto out = receive(from_client(L4::tcp, SYN, port));
    if (out.reason != "flow_created") continue;
    const auto at = family() == 4 ? 33U : 53U;  // last byte of the new destination
    const int member = out.frame[at] == 4 ? 1 : 2;
    if (receive(from_member(member, L4::tcp, SYN | ACK, port)).reason != "replied") continue;
    succeeded += receive(from_client(L4::tcp, ACK, port)).reason == "forwarded";
  }
  EXPECT_GE(succeeded, 15) << "a window without a half-open flow refuses now and then";
}

// One that is over counts as half open no more, so nothing is gained by its place.
TEST_P(Flood, RefusedConnectionsDoNotKeepHalfOpenOnesFromMakingWay) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  for (std::uint16_t port = 20000; port < 20100; ++port) {
    ASSERT_EQ(receive(from_client(L4::tcp, SYN, port)).reason, "flow_created");
    ASSERT_EQ(receive(from_member(1, L4::tcp, RST | ACK, port)).reason, "replied");
  }
  flood(half_open_limit);
  int created = 0;
  for (std::uint16_t port = 50000; port < 50100; ++port)
    created += receive(from_client(L4::tcp, SYN, port)).reason == "flow_created";
  EXPECT_GE(created, 75) << "a window without a half-open flow refuses now and then";
}

TEST_P(Flood, UnansweredUdpIsBoundedToo) {
  // Where the window of a new one holds none that could make way, it is refused; so it goes by the
  // many.
  std::uint32_t created = 0;
  for (std::uint32_t i = 0; i < 6 * half_open_limit; ++i) {
    auto packet = spoofed(i);
    packet.protocol = L4::udp;
    packet.destination_port = 53;
    const auto reason = receive(packet).reason;
    created += reason == "flow_created";
    EXPECT_TRUE(reason == "flow_created" || reason == "half_open_full") << reason;
  }
  EXPECT_GT(created, 2 * half_open_limit);
  EXPECT_LE(slots(), 2 * half_open_limit);
}

}  // namespace
}  // namespace sluice::test
