// The sweep over the flow table goes in slices, between which packets come.
#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "maps/flow.h"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

constexpr std::uint16_t first_port = 50000;
constexpr std::uint16_t many = 100;

class Sweep : public BothFamilies {
 protected:
  // More buckets than can be swept in a microsecond.
  kernel::LoadOptions load_options() const override { return with_room(1U << 14, 1U << 14); }
  void SetUp() override {
    BothFamilies::SetUp();
    use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
    for (std::uint16_t i = 0; i < many; ++i) establish(L4::tcp, first_port + i);
  }
  void TearDown() override {
    forget_flows();
    BothFamilies::TearDown();
  }

  static sluice_flow_sweep begin(std::uint32_t slice_us) {
    sluice_flow_sweep slice{};
    slice.slice_us = slice_us;
    return slice;
  }
  // Goes on until a slice of this family's table is over and another one follows.
  void expire_half(sluice_flow_sweep& slice) {
    const std::uint32_t stage = family() == 4 ? SLUICE_SWEEP_FLOWS4 : SLUICE_SWEEP_FLOWS6;
    do expire_slice(slice);
    while (slice.stage != SLUICE_SWEEP_OVER && (slice.stage != stage || slice.next == 0));
    ASSERT_EQ(slice.stage, stage);
  }
  // Returns how many slices there were.
  unsigned expire_rest(sluice_flow_sweep& slice) {
    unsigned slices = 0;
    do expire_slice(slice);
    while (++slices < 100000 && slice.stage != SLUICE_SWEEP_OVER);
    EXPECT_EQ(slice.stage, std::uint32_t{SLUICE_SWEEP_OVER});
    return slices;
  }
};
FOR_BOTH_FAMILIES(Sweep);

TEST_P(Sweep, SlicesEndWhenTheirTimeIsOver) {
  auto quick = begin(1), slow = begin(0);
  EXPECT_GT(expire_rest(quick), 20U);
  EXPECT_EQ(expire_rest(slow), 3U) << "two tables and next hops";
}

TEST_P(Sweep, SlicesTogetherSeeEachConnectionOnce) {
  auto sweep = begin(1);
  expire_rest(sweep);
  EXPECT_EQ(sweep.live, many);
  EXPECT_EQ(sweep.live6, family() == 4 ? 0U : many);
  make_all_older(8000);
  sweep = begin(1);
  expire_rest(sweep);
  EXPECT_EQ(sweep.expired, many);
  EXPECT_EQ(sweep.live, 0U);
  EXPECT_EQ(listener_counters(9).flows_ended, many);
}

TEST_P(Sweep, PacketsBetweenSlicesFindTheirConnections) {
  auto sweep = begin(1);
  expire_half(sweep);
  for (std::uint16_t i = 0; i < many; ++i)
    EXPECT_EQ(receive(from_client(L4::tcp, ACK, first_port + i)).reason, "forwarded");
  establish(L4::tcp, first_port + many);
  expire_rest(sweep);
  EXPECT_EQ(sweep.expired, 0U);
  EXPECT_EQ(sweep.missed, 0U);
  EXPECT_EQ(expire().live, many + 1U);
}

// A sweep that frees next hops must have seen all flows.
TEST_P(Sweep, FlowsThatMoveBetweenSlicesMayHaveBeenMissed) {
  auto sweep = begin(1);
  expire_half(sweep);
  sluice_flow_rehome request{};
  request.family = static_cast<std::uint32_t>(family());
  request.shift = SLUICE_AREA_SHIFT_OF(SLUICE_SMALLEST_AREA_BITS);
  request.buckets = 1U << 20;
  World::rehome(request);
  expire_rest(sweep);
  EXPECT_EQ(sweep.missed, 1U);
  sweep = begin(1);
  expire_rest(sweep);
  EXPECT_EQ(sweep.missed, 0U);
  EXPECT_EQ(sweep.live, many);
}

// The kernel refuses a request that is shorter than what the program reads or writes of it. These
// are as long as sluiced sent them before 0.3.0.
TEST_P(Sweep, RequestsOfOlderVersionsAreStillCarriedOut) {
  const auto run = [](int program, std::size_t bytes) {
    std::vector<std::uint32_t> request(bytes / sizeof(std::uint32_t));
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = request.data(),
                .ctx_size_in = static_cast<__u32>(bytes));
    EXPECT_EQ(bpf_prog_test_run_opts(program, &options), 0) << std::strerror(errno);
    return request;
  };
  run(program().rehome_fd(), 48);
  run(program().flush_fd(), 24);
  enum : std::size_t { live = 1, expired = 2, live6 = 3 };
  auto swept = run(program().expire_fd(), 16);
  EXPECT_EQ(swept[live], many);
  EXPECT_EQ(swept[live6], family() == 4 ? 0U : many);
  EXPECT_EQ(swept[expired], 0U);
  make_all_older(8000);
  swept = run(program().expire_fd(), 16);
  EXPECT_EQ(swept[live], 0U);
  EXPECT_EQ(swept[expired], many);
  EXPECT_EQ(listener_counters(9).flows_ended, many);
}

}  // namespace
}  // namespace sluice::test
