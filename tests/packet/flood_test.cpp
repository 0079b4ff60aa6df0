// SYN floods: half-open connections evict each other, but never established ones.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <tuple>

#include "maps/half_open.h"
#include "maps/proof.h"
#include "packet/loaded.hpp"
#include "packet/traffic.hpp"
#include "reference/view.hpp"

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
  // If nothing in its window can be evicted, one more is created, up to half as many again.
  flood(6 * half_open_limit);
  EXPECT_LE(slots(), 3 * half_open_limit);
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
  EXPECT_EQ(succeeded, 20);
}

// A connection that is over doesn't count as half-open, so evicting it gains nothing.
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
  EXPECT_GE(created, 95) << "a window without a half-open flow refuses now and then";
}

TEST_P(Flood, UnansweredUdpIsBoundedToo) {
  // A new connection is refused if its window has none that can be evicted, so the test counts
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
  EXPECT_LE(slots(), 3 * half_open_limit);
}

// Each listener has room of its own for half-open connections.
TEST_P(Flood, HandshakesOfAnotherListenerLiveOn) {
  put_listener(net().vip, 81, L4::tcp, listener(pool(), 10));
  const auto other = [&](std::uint16_t port, std::uint8_t flags) {
    auto segment = from_client(L4::tcp, flags, port);
    segment.destination_port = 81;
    return receive(segment).reason;
  };
  constexpr auto share = half_open_limit / SLUICE_LISTENER_HALF_OPEN_SHARE;
  for (std::uint16_t port = 50000; port < 50000 + share; ++port)
    ASSERT_EQ(other(port, SYN), "flow_created");
  flood(6 * half_open_limit);
  for (std::uint16_t port = 50000; port < 50000 + share; ++port)
    EXPECT_EQ(other(port, SYN), "forwarded") << "it was forgotten";
  for (std::uint16_t port = 50100; port < 50120; ++port)
    EXPECT_EQ(other(port, SYN), "flow_created");
}

// A single forged packet must not hold a slot for two hours.
TEST_P(Flood, ConnectionsAdoptedFromTheMiddleAreConfirmedByNobodyYet) {
  put_pool(pool(), SLUICE_DSR, {member_index(1), member_index(2)}, SLUICE_SOURCE_IP_PORT);
  for (const int member : {1, 2})
    put_member(member_index(member), member == 1 ? net().member1 : net().member2, 8080, true,
               SLUICE_MEMBER_DSR);
  for (std::uint32_t i = 0; i < 12 * half_open_limit; ++i) {
    auto segment = spoofed(i);
    segment.flags = ACK;
    const auto reason = receive(segment).reason;
    EXPECT_TRUE(reason == "flow_created" || reason == "forwarded_without_flow") << reason;
  }
  EXPECT_LE(slots(), 2 * half_open_limit);
  auto syn = from_client(L4::udp, 0, 50000);
  EXPECT_EQ(receive(syn).reason, "flow_created") << "of another listener";
}

// In modes in which answers pass us, only an answer confirms a connection.
TEST_P(Flood, AForgedSegmentTwiceMakesNoConnectionInDnat) {
  use_mode(SLUICE_DNAT);
  put_pool(pool(), SLUICE_DNAT, {member_index(1)}, SLUICE_SOURCE_IP);
  const auto segment = from_client(L4::tcp, ACK);
  EXPECT_EQ(receive(segment).reason, "flow_created");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive(segment).reason, "forwarded");
  const auto is_confirmed = [&] {
    for (const auto& slot : flows6())
      if (!(slot.state & SLUICE_FLOW_TO_CLIENT)) return (slot.state & SLUICE_FLOW_ESTABLISHED) != 0;
    for (const auto& flow : flows())
      if (flow.to_member()) return (flow.value.state & SLUICE_FLOW_ESTABLISHED) != 0;
    return false;
  };
  EXPECT_FALSE(is_confirmed());
  const auto data = from_member(1, L4::tcp, ACK, 40000, true);
  EXPECT_EQ(receive(data).reason, "replied");
  EXPECT_EQ(receive(segment).reason, "forwarded");
  EXPECT_FALSE(is_confirmed()) << "it has not heard the member's data";
  auto heard = segment;
  heard.acknowledgement = data.sequence + static_cast<std::uint32_t>(data.data.size());
  EXPECT_EQ(receive(heard).reason, "forwarded");
  EXPECT_TRUE(is_confirmed());
}

// What nobody ever proves: UDP that members answer.
class AnsweredFlood : public Flood {
 protected:
  static constexpr std::uint16_t first_port = 5300;
  static constexpr std::uint32_t first_listener = 100;
  // Listeners of their own for the same pool, the first one on the usual port.
  void listen(std::uint16_t count) {
    use_mode(SLUICE_FULLNAT, L4::udp, {net().member1});
    for (std::uint16_t i = 0; i < count; ++i)
      put_listener(net().vip, static_cast<std::uint16_t>(first_port + i), L4::udp,
                   listener(pool(L4::udp), first_listener + i));
  }
  Packet query(std::uint32_t i, std::uint16_t of_listener) const {
    auto packet = spoofed(i);
    packet.protocol = L4::udp;
    packet.destination_port = static_cast<std::uint16_t>(first_port + of_listener);
    return packet;
  }
  // It and the member's answer; why it went there.
  std::string exchange(const Packet& packet) {
    const auto out = receive(packet);
    if (out.reason != "flow_created") return out.reason;
    const std::size_t at = family() == 4 ? 34 : 54;
    receive(from_member(1, L4::udp, 0,
                        static_cast<std::uint16_t>(out.frame[at] << 8 | out.frame[at + 1])));
    return out.reason;
  }
  std::uint32_t active(std::uint32_t listener) {
    std::uint32_t value = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map("listener_active"), &listener, &value), 0);
    return value;
  }
  void expect_handshakes() {
    for (std::uint16_t port = 50000; port < 50020; ++port) {
      EXPECT_EQ(receive(from_client(L4::tcp, SYN, port)).reason, "flow_created") << port;
      EXPECT_EQ(receive(from_member(1, L4::tcp, SYN | ACK, port)).reason, "replied") << port;
      EXPECT_EQ(receive(from_client(L4::tcp, ACK, port)).reason, "forwarded") << port;
    }
  }
};
FOR_BOTH_FAMILIES(AnsweredFlood);

// One listener's flood ends at its share, and takes the places of its own beyond that.
TEST_P(AnsweredFlood, HasAShareOfTheTable) {
  constexpr auto share = SLUICE_LISTENER_UNPROVEN_SHARE(flow_capacity);
  listen(1);
  for (std::uint32_t i = 0; i < 6 * flow_capacity; ++i)
    ASSERT_EQ(exchange(query(i, 0)), "flow_created") << i;
  EXPECT_GT(active(first_listener), share - 10);
  EXPECT_LT(active(first_listener), share + share / 10) << "a window may hold none that could go";
}

// The longest idle one makes way: of those in the window, not just any.
TEST_P(AnsweredFlood, TakesThePlaceOfTheLongestIdle) {
  listen(1);
  for (std::uint32_t i = 0; i < flow_capacity / 2; ++i) exchange(query(i, 0));
  make_all_older(30);
  std::vector<Packet> later;
  for (std::uint32_t i = 0; i < flow_capacity / 4; ++i) later.push_back(query(10'000 + i, 0));
  for (const auto& packet : later) exchange(packet);
  for (std::uint32_t i = 0; i < flow_capacity / 4; ++i) exchange(query(20'000 + i, 0));
  std::size_t known = 0;
  for (const auto& packet : later) known += receive(packet).reason == "forwarded";
  EXPECT_GT(known, later.size() * 9 / 10);
}

// However many listeners are flooded, what is proven finds room, and so does who has little.
TEST_P(AnsweredFlood, OfManyListenersLeavesRoomForAllOthers) {
  constexpr std::uint16_t flooded = 5, quiet = flooded;
  constexpr std::uint32_t sessions = flow_capacity / SLUICE_LISTENER_UNPROVEN_OWN - 4;
  listen(flooded + 2);
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  for (std::uint32_t i = 0; i < sessions; ++i)
    ASSERT_EQ(exchange(query(90'000 + i, quiet)), "flow_created");
  for (std::uint32_t i = 0; i < 12 * flow_capacity; ++i)
    exchange(query(i, static_cast<std::uint16_t>(i % flooded)));
  int kept = 0, served = 0;
  for (std::uint32_t i = 0; i < sessions; ++i) {
    kept += receive(query(90'000 + i, quiet)).reason == "forwarded";
    served += exchange(query(80'000 + i, quiet + 1)) == "flow_created";
  }
  EXPECT_EQ(kept, static_cast<int>(sessions)) << "of a listener that has no more than its own";
  EXPECT_EQ(served, static_cast<int>(sessions));
  expect_handshakes();
}

// A table full of connections that were opened and closed without a word.
TEST_P(AnsweredFlood, ClosedConnectionsMakeWayForNewOnes) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  for (std::uint32_t i = 0; i < 2 * flow_capacity; ++i) {
    const auto port = static_cast<std::uint16_t>(10000 + i);
    if (receive(from_client(L4::tcp, SYN, port)).reason != "flow_created") continue;
    receive(from_member(1, L4::tcp, SYN | ACK, port));
    receive(from_client(L4::tcp, ACK, port));
    receive(from_client(L4::tcp, FIN | ACK, port));
    receive(from_member(1, L4::tcp, FIN | ACK, port));
  }
  make_all_older(30);
  expect_handshakes();
}

// Whoever doesn't hear the member can't confirm, whatever he sends in the client's name.
class Unheard : public Flood {
 protected:
  static constexpr std::uint32_t heard = 1001;
  void SetUp() override {
    Flood::SetUp();
    if (!IsSkipped()) use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  }
  Packet acknowledging(std::uint32_t number, std::uint16_t port = 40000,
                       std::uint8_t flags = ACK) const {
    auto segment = from_client(L4::tcp, flags, port);
    segment.acknowledgement = number;
    return segment;
  }
  std::string answer(std::uint8_t flags, bool with_data = true) {
    auto segment = from_member(1, L4::tcp, flags);
    if (!with_data) segment.data = {};
    return receive(segment).reason;
  }
  void open_half(std::uint16_t port = 40000) {
    ASSERT_EQ(receive(from_client(L4::tcp, SYN, port)).reason, "flow_created");
    ASSERT_EQ(receive(from_member(1, L4::tcp, SYN | ACK, port)).reason, "replied");
  }
  std::uint32_t half_open() {
    const std::uint32_t index = 9;
    std::uint32_t value = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map("listener_half_open"), &index, &value), 0);
    return value;
  }
  void overwrite_entries() {
    constexpr std::size_t bytes = SLUICE_PROOFS / 2 * sizeof(sluice_proofs);
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map("proof_numbers"), 0);
    ASSERT_NE(memory, MAP_FAILED);
    std::memset(memory, 0xee, bytes);
    munmap(memory, bytes);
  }
};
FOR_BOTH_FAMILIES(Unheard);

TEST_P(Unheard, AWrongNumberConfirmsNothing) {
  open_half();
  for (const auto number : {heard - 1, heard + 1, 0U, ~0U}) {
    for (const std::uint8_t flags : std::initializer_list<std::uint8_t>{ACK, FIN | ACK}) {
      EXPECT_EQ(receive(acknowledging(number, 40000, flags)).reason, "forwarded");
      EXPECT_EQ(half_open(), 1U) << number;
    }
  }
  EXPECT_EQ(receive(acknowledging(heard)).reason, "forwarded");
  EXPECT_EQ(half_open(), 0U);
}

// The member answers a wrong number with a reset that has it, or with a challenge that has its own.
TEST_P(Unheard, TheMembersAnswerToAWrongNumberIsNoProof) {
  open_half();
  receive(acknowledging(7777));
  auto reset = from_member(1, L4::tcp, RST);
  reset.sequence = 7777;
  reset.data = {};
  EXPECT_EQ(receive(reset).reason, "replied");
  EXPECT_EQ(receive(acknowledging(7777)).reason, "forwarded");
  auto challenge = from_member(1, L4::tcp, ACK);
  challenge.sequence = heard;
  challenge.data = {};
  EXPECT_EQ(receive(challenge).reason, "replied");
  EXPECT_EQ(receive(acknowledging(7777)).reason, "forwarded");
  overwrite_entries();
  const auto flow = family() == 4 ? flows().size() : flows6().size();
  EXPECT_EQ(flow, 2U);
  receive(from_member(1, L4::tcp, SYN | ACK));
  EXPECT_EQ(half_open(), 1U);
  EXPECT_EQ(receive(acknowledging(heard)).reason, "forwarded");
  EXPECT_EQ(half_open(), 0U);
}

// An honest client whose entry another handshake has overwritten is confirmed by what comes next.
TEST_P(Unheard, TheMembersDataConfirm) {
  open_half();
  overwrite_entries();
  EXPECT_EQ(receive(acknowledging(heard)).reason, "forwarded");
  EXPECT_EQ(half_open(), 1U);
  EXPECT_EQ(answer(ACK), "replied");
  EXPECT_EQ(half_open(), 0U);
}

TEST_P(Unheard, TheMembersAcknowledgementIsHeardByTheClientsNextPacket) {
  open_half();
  overwrite_entries();
  EXPECT_EQ(receive(acknowledging(heard)).reason, "forwarded");
  auto only_acknowledges = from_member(1, L4::tcp, ACK);
  only_acknowledges.data = {};
  only_acknowledges.sequence = heard;
  EXPECT_EQ(receive(only_acknowledges).reason, "replied");
  EXPECT_EQ(half_open(), 1U);
  EXPECT_EQ(receive(acknowledging(heard)).reason, "forwarded");
  EXPECT_EQ(half_open(), 0U);
}

// In the middle of its handshake when a version came that looks at numbers: the member's slot was
// marked before.
TEST_P(Unheard, AHandshakeOfAnOlderVersionIsConfirmedToo) {
  open_half();
  overwrite_entries();
  change_states([](__u64& state) {
    if (state & SLUICE_FLOW_TO_CLIENT) state |= SLUICE_FLOW_ESTABLISHED;
  });
  EXPECT_EQ(receive(acknowledging(heard)).reason, "forwarded");
  EXPECT_EQ(answer(ACK), "replied");
  EXPECT_EQ(half_open(), 0U);
}

// The tag of the member's INIT ACK is SCTP's number.
TEST_P(Unheard, AWrongTagConfirmsNothing) {
  use_mode(SLUICE_FULLNAT, L4::sctp, {net().member1});
  ASSERT_EQ(receive(from_client(L4::sctp, SYN)).reason, "flow_created");
  ASSERT_EQ(receive(from_member(1, L4::sctp, SYN | ACK)).reason, "replied");
  auto forged = from_client(L4::sctp, ACK);
  forged.tag = 0x55667788;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive(forged).reason, "forwarded");
  EXPECT_EQ(half_open(), 1U);
  EXPECT_EQ(receive(from_client(L4::sctp, ACK)).reason, "forwarded");
  EXPECT_EQ(half_open(), 0U);
}

// SYN and a wrong ACK from each of many sources, every packet three times: no more than SYNs alone.
TEST_P(Unheard, AFloodOfForgedHandshakesLeavesRoomAndBreaksNobody) {
  for (std::uint16_t port = 50100; port < 50140; ++port) establish(L4::tcp, port);
  for (std::uint32_t i = 0; i < 6 * flow_capacity; ++i) {
    auto segment = spoofed(i);
    const auto port = segment.source_port;
    for (int times = 0; times < 3; ++times) receive_repeatedly(segment.bytes(), 1);
    receive_repeatedly(from_member(1, L4::tcp, SYN | ACK, port).bytes(), 1);
    segment.flags = ACK;
    segment.acknowledgement = 4711;
    receive_repeatedly(segment.bytes(), 3);
  }
  int served = 0, kept = 0;
  for (std::uint16_t port = 50000; port < 50020; ++port)
    served += receive(from_client(L4::tcp, SYN, port)).reason == "flow_created" &&
              receive(from_member(1, L4::tcp, SYN | ACK, port)).reason == "replied" &&
              receive(from_client(L4::tcp, ACK, port)).reason == "forwarded";
  for (std::uint16_t port = 50100; port < 50140; ++port)
    kept += receive(from_client(L4::tcp, ACK, port)).reason == "forwarded";
  EXPECT_EQ(served, 20);
  EXPECT_EQ(kept, 40);
}

// dpvs#819: at the default size, a member has fewer source ports than the table has room for
// half-open connections.
class PortFlood : public Flood {
 protected:
  kernel::LoadOptions load_options() const override {
    return with_room(SLUICE_DEFAULT_FLOWS, SLUICE_DEFAULT_FLOWS / SLUICE_IPV6_SHARE);
  }
  // A table of this size is unloaded instead of cleaned for the next test.
  void TearDown() override {
    Flood::TearDown();
    if (IsSkipped()) return;
    ASSERT_TRUE(Loaded::with(Flood::load_options()));
  }
  static constexpr std::uint32_t syns = 70'000;
  Packet spoofed_widely(std::uint32_t i) const {
    auto syn = spoofed(i);
    syn.source = family() == 4 ? "198." + std::to_string(i >> 16 & 255) + "." +
                                     std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255)
                               : fmt::format("2001:db8:f::{:x}:{:x}", i >> 16, i & 0xffff);
    return syn;
  }
  int newcomers_served() {
    int served = 0;
    for (std::uint16_t port = 50000; port < 50020; ++port) {
      const auto out = receive(from_client(L4::tcp, SYN, port));
      if (out.reason != "flow_created") continue;
      const std::size_t at = family() == 4 ? 34 : 54;
      const auto theirs = static_cast<std::uint16_t>(out.frame[at] << 8 | out.frame[at + 1]);
      if (receive(from_member(1, L4::tcp, SYN | ACK, theirs)).reason != "replied") continue;
      served += receive(from_client(L4::tcp, ACK, port)).reason == "forwarded";
    }
    return served;
  }
};
FOR_BOTH_FAMILIES(PortFlood);

TEST_P(PortFlood, HalfOpenConnectionsHoldAShareOfAMembersPortsAndMakeWay) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  for (std::uint32_t i = 0; i < syns; ++i) receive_repeatedly(spoofed_widely(i).bytes(), 1);
  const auto index = member_index(1);
  std::uint32_t half_open = 0;
  ASSERT_EQ(bpf_map_lookup_elem(map("member_half_open"), &index, &half_open), 0);
  EXPECT_GT(half_open, 64'512U / 4 - 10);
  EXPECT_LT(half_open, 64'512U / 2) << "where a try finds none to take, one more is made";
  EXPECT_EQ(newcomers_served(), 20);
}

// Nobody proves that he hears a UDP answer, so such sessions hold no port against newcomers.
TEST_P(PortFlood, AnsweredUdpSessionsMakeWayForNewcomers) {
  use_mode(SLUICE_FULLNAT, L4::udp, {net().member1});
  const auto session = [&](const Packet& query) {
    const auto out = receive(query);
    if (out.reason != "flow_created") return false;
    const std::size_t at = family() == 4 ? 34 : 54;
    const auto theirs = static_cast<std::uint16_t>(out.frame[at] << 8 | out.frame[at + 1]);
    return receive(from_member(1, L4::udp, 0, theirs)).reason == "replied";
  };
  // Each has its own port toward the member, its client's.
  for (std::uint32_t i = 0; i < 64'512; ++i) {
    auto another = spoofed_widely(i);
    another.protocol = L4::udp;
    another.source_port = static_cast<std::uint16_t>(1024 + i);
    another.destination_port = 53;
    receive_repeatedly(another.bytes(), 1);
    receive_repeatedly(from_member(1, L4::udp, 0, another.source_port).bytes(), 1);
  }
  int served = 0;
  for (std::uint16_t port = 50000; port < 50020; ++port)
    served += session(from_client(L4::udp, 0, port));
  EXPECT_EQ(served, 20);
}

// All ports toward a member were used a minute ago, by connections that are closed. What the member
// makes of a new client's SYN depends on who closed the old connection first, and on its numbers.
class PortReuse : public PortFlood {
 protected:
  static constexpr std::uint32_t ports = 64'512, first_port = 1024;

  // What of an old connection its member remembers.
  struct Left {
    bool member_waits = false;
    bool is_stamped = false;
    std::uint32_t next = 0, stamp = 0;
  };
  static Bytes stamps(std::uint32_t stamp) {
    return {1,
            1,
            8,
            10,
            static_cast<std::uint8_t>(stamp >> 24),
            static_cast<std::uint8_t>(stamp >> 16),
            static_cast<std::uint8_t>(stamp >> 8),
            static_cast<std::uint8_t>(stamp),
            0,
            0,
            0,
            0};
  }
  Left left_at(std::uint32_t port) const {
    const auto noise = (port * 0x9e3779b1U) ^ (port << 7);
    return {port % 32 != 0, port % 2 == 1, noise * 0x85ebca6bU, noise * 0xc2b2ae35U};
  }
  // Packets of one connection, whose numbers lie at the same places in those of all others.
  void play(const Packet& packet, std::uint16_t port, bool of_member) {
    auto& frame = frames_[{packet.flags, of_member, packet.options.size()}];
    if (frame.empty()) frame = packet.bytes();
    const std::size_t l4 = family() == 4 ? 34 : 54;
    reference::replace(frame, l4 + (of_member ? 2 : 0), reference::be16(port));
    reference::replace(frame, l4 + 4, reference::be32(packet.sequence));
    if (!packet.options.empty()) reference::replace(frame, l4 + 20, packet.options);
    receive_repeatedly(frame, 1);
  }
  void open_and_close(std::uint16_t port) {
    const auto left = left_at(port);
    const auto client = [&](std::uint8_t flags) {
      auto packet = from_client(L4::tcp, flags, port);
      packet.data = {};
      packet.sequence = left.next - (flags & SYN ? 2 : 1);
      if (left.is_stamped) packet.options = stamps(left.stamp);
      play(packet, port, false);
    };
    const auto member = [&](std::uint8_t flags) {
      play(from_member(1, L4::tcp, flags, port), port, true);
    };
    client(SYN);
    member(SYN | ACK);
    client(ACK);
    if (left.member_waits) member(FIN | ACK);
    client(FIN | ACK);
    if (!left.member_waits) member(FIN | ACK);
  }
  static bool is_later(std::uint32_t a, std::uint32_t b) {
    return static_cast<std::int32_t>(a - b) > 0;
  }
  // A newcomer's SYN, and the port that it gets; 0: none.
  std::uint16_t port_for(const Packet& syn) {
    const auto out = receive(syn);
    const std::size_t l4 = family() == 4 ? 34 : 54;
    return out.reason == "flow_created"
               ? static_cast<std::uint16_t>(out.frame[l4] << 8 | out.frame[l4 + 1])
               : std::uint16_t{0};
  }

 private:
  std::map<std::tuple<std::uint8_t, bool, std::size_t>, Bytes> frames_;
};
FOR_BOTH_FAMILIES(PortReuse);

TEST_P(PortReuse, TakesPortsAtWhichTheMemberDoesNotChallenge) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  for (std::uint32_t i = 0; i < ports; ++i)
    open_and_close(static_cast<std::uint16_t>(first_port + i));
  make_all_older(30);
  constexpr int newcomers = 1000;
  int refused = 0, after_client = 0, waits = 0;
  for (std::uint32_t i = 0; i < newcomers; ++i) {
    auto syn = spoofed_widely(70'000 + i);
    syn.source_port = static_cast<std::uint16_t>(first_port + i * 61);
    syn.sequence = i * 0x27d4eb2fU;
    const auto stamp = i * 0x165667b1U;
    const bool is_stamped = i % 3 != 0;
    if (is_stamped) syn.options = stamps(stamp);
    const auto port = port_for(syn);
    const auto left = left_at(port);
    refused += port == 0;
    after_client += !left.member_waits;
    waits +=
        left.member_waits && !(is_later(syn.sequence, left.next) &&
                               (!left.is_stamped || !is_stamped || is_later(stamp, left.stamp)));
  }
  fmt::print("{} of {} newcomers got a port that the client had closed first; {} wait a second\n",
             after_client, newcomers, waits);
  EXPECT_EQ(refused, 0);
  EXPECT_GT(after_client, newcomers / 2) << "1 of 32 ports is one, and a newcomer tries 32";
  EXPECT_LE(waits, newcomers / 100);
}

}  // namespace
}  // namespace sluice::test
