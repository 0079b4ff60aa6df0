// Connections while the part of the flow table that is in use shrinks and grows.
#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "maps/flow.h"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

constexpr std::uint32_t smallest = SLUICE_AREA_SHIFT_OF(SLUICE_SMALLEST_AREA_BITS);

class Area : public BothFamilies {
 protected:
  kernel::LoadOptions load_options() const override { return with_room(1U << 14, 1U << 14); }
  void TearDown() override {
    forget_flows();  // some are further back than others' tests reach
    BothFamilies::TearDown();
  }

  // One run of flow_rehome over so many buckets; the walk begins anew.
  sluice_flow_rehome rehome(std::uint32_t shift, std::uint32_t buckets = 1U << 20,
                            std::uint32_t hold = SLUICE_AREA_LEAVE) {
    sluice_flow_rehome request{};
    request.family = static_cast<std::uint32_t>(family());
    request.shift = shift;
    request.hold = hold;
    request.buckets = buckets;
    return World::rehome(request);
  }
  std::uint64_t word() {
    const std::uint32_t which = family() == 4 ? 0 : 1;
    std::uint64_t area = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map("flow_areas"), &which, &area), 0) << std::strerror(errno);
    return area;
  }
  void expect_forwarded_both_ways(std::uint16_t port) {
    const auto data = from_client(L4::tcp, ACK, port);
    const auto out = receive(data);
    ASSERT_EQ(out.reason, "forwarded") << port;
    EXPECT_TRUE(same_frame(out.frame, at_member(data).bytes()));
    const auto answer = from_member(1, L4::tcp, ACK, port);
    const auto back = receive(answer);
    ASSERT_EQ(back.reason, "replied") << port;
    EXPECT_TRUE(same_frame(back.frame, at_client(answer, port).bytes()));
  }
  void establish_many(std::uint16_t many) {
    use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
    for (std::uint16_t i = 0; i < many; ++i) establish(L4::tcp, first_port + i);
  }
  static constexpr std::uint16_t first_port = 50000;
};
FOR_BOTH_FAMILIES(Area);

TEST_P(Area, ConnectionsGoOnWhileItShrinksAndGrows) {
  establish_many(100);
  std::uint32_t moved = 0;
  for (const std::uint32_t shift : {smallest, smallest - 1, smallest, 0U, smallest - 2, 0U}) {
    const auto done = rehome(shift);
    EXPECT_EQ(done.is_shift, shift);
    EXPECT_EQ(done.old_shift, shift);
    EXPECT_EQ(done.left, 0U);
    moved += done.moved;
    for (std::uint16_t i = 0; i < 100; ++i) expect_forwarded_both_ways(first_port + i);
  }
  EXPECT_GT(moved, 400U);
  EXPECT_EQ(listener_counters(9).flows_opened, 100U);
  EXPECT_EQ(listener_counters(9).flows_ended, 0U);
}

TEST_P(Area, ConnectionsOfBothAreasGoOnAndNewOnesComeWhileItChanges) {
  establish_many(60);
  rehome(smallest, 1);  // one bucket of many
  EXPECT_NE(SLUICE_AREA_SHIFT(word()), SLUICE_AREA_OLD_SHIFT(word()));
  for (std::uint16_t i = 60; i < 100; ++i) establish(L4::tcp, first_port + i);
  for (std::uint16_t i = 0; i < 100; ++i) expect_forwarded_both_ways(first_port + i);
  // The same connection is not made twice, whichever area it is in.
  EXPECT_EQ(receive(from_client(L4::tcp, SYN, first_port)).reason, "forwarded");
  EXPECT_EQ(expire().live, 100U);
  const auto done = rehome(smallest);
  EXPECT_EQ(done.old_shift, smallest);
  EXPECT_EQ(expire().live, 100U);
  for (std::uint16_t i = 0; i < 100; ++i) expect_forwarded_both_ways(first_port + i);
}

TEST_P(Area, AChangeCanGoBack) {
  establish_many(100);
  rehome(smallest, 700);
  const auto done = rehome(0);
  EXPECT_EQ(done.is_shift, 0U);
  EXPECT_EQ(done.old_shift, 0U);
  for (std::uint16_t i = 0; i < 100; ++i) expect_forwarded_both_ways(first_port + i);
}

// Nobody has to wait for the next sweep. What has its home among the crowded buckets in the whole
// table, too, may be refused until flows have moved; its client sends its SYN once more.
TEST_P(Area, ABurstMakesTheWholeTableTheArea) {
  rehome(smallest);
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  std::vector<std::uint16_t> ports;
  for (std::uint16_t port = first_port; port < first_port + 2000; ++port) {
    if (receive(from_client(L4::tcp, SYN, port)).reason != "flow_created") continue;
    receive(from_member(1, L4::tcp, SYN | ACK, port));
    receive(from_client(L4::tcp, ACK, port));  // else others may evict it
    ports.push_back(port);
  }
  EXPECT_GE(ports.size(), 1980U);
  EXPECT_EQ(SLUICE_AREA_SHIFT(word()), 0U);
  EXPECT_EQ(SLUICE_AREA_OLD_SHIFT(word()), smallest);
  for (const auto port : ports) expect_forwarded_both_ways(port);
  EXPECT_EQ(expire().live, ports.size());
  EXPECT_EQ(rehome(0).old_shift, 0U);
  for (const auto port : ports) expect_forwarded_both_ways(port);
}

TEST_P(Area, StaysTheWholeTableWhileThatIsHeld) {
  establish_many(10);
  rehome(smallest);
  EXPECT_EQ(rehome(0, 1U << 20, SLUICE_AREA_HOLD).is_shift, 0U);
  EXPECT_EQ(rehome(smallest).refused, 1U);
  EXPECT_EQ(SLUICE_AREA_SHIFT(word()), 0U);
  rehome(smallest, 1, SLUICE_AREA_RELEASE);
  EXPECT_EQ(SLUICE_AREA_SHIFT(word()), 0U) << "to release it does not change it";
  EXPECT_EQ(rehome(smallest).is_shift, smallest);
}

// A packet may come between the steps of a move; the next walk takes that flow.
TEST_P(Area, AWalkThatLeavesNothingEndsTheChangeWhateverTheOneBeforeLeft) {
  establish_many(100);
  rehome(smallest, 1);
  sluice_flow_rehome request{};
  request.family = static_cast<std::uint32_t>(family());
  request.shift = smallest;
  request.buckets = 1U << 20;
  request.change = static_cast<std::uint32_t>(word() >> 32);
  request.left = 3;
  const auto done = World::rehome(request);
  EXPECT_EQ(done.left, 0U);
  EXPECT_EQ(done.old_shift, smallest);
}

// A resize that is over, or was never begun, releases the table whatever sluiced is doing to it.
TEST_P(Area, ARunOverNoBucketsEndsNoChange) {
  establish_many(60);
  rehome(smallest, 1);
  for (const std::uint32_t hold : {SLUICE_AREA_RELEASE, SLUICE_AREA_LEAVE}) {
    const auto done = rehome(smallest, 0, hold);
    EXPECT_EQ(done.is_shift, smallest);
    EXPECT_EQ(done.old_shift, 0U);
  }
  for (std::uint16_t i = 0; i < 60; ++i) expect_forwarded_both_ways(first_port + i);
  EXPECT_EQ(rehome(smallest).old_shift, smallest);
}

// Whoever holds the whole table goes on until it is that, not only until a walk has ended.
TEST_P(Area, AChangeUnderWayEndsInItsOwnAreaBeforeTheWholeTableIsHeld) {
  establish_many(100);
  rehome(smallest);
  rehome(smallest - 1, 1);
  const auto first = rehome(0, 1U << 20, SLUICE_AREA_HOLD);
  EXPECT_EQ(first.first, 0U) << "the walk is over";
  EXPECT_EQ(first.is_shift, smallest - 1);
  const auto second = rehome(0, 1U << 20, SLUICE_AREA_HOLD);
  EXPECT_EQ(second.is_shift, 0U);
  EXPECT_EQ(second.old_shift, 0U);
  for (std::uint16_t i = 0; i < 100; ++i) expect_forwarded_both_ways(first_port + i);
}

TEST_P(Area, FlowsThatEndLeaveNoTraceInTheOldOrTheNew) {
  establish_many(100);
  rehome(smallest, 700);
  make_all_older(8000);
  EXPECT_EQ(expire().expired, 100U);
  EXPECT_EQ(rehome(0).left, 0U);
  EXPECT_TRUE(flows().empty());
  EXPECT_TRUE(flows6().empty());
}

}  // namespace
}  // namespace sluice::test
