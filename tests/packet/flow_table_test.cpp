// The flow table under two CPUs that insert, find and remove the same and neighbouring keys.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "maps/flow.h"
#include "maps/next_hop.h"
#include "maps/runtime.h"
#include "packet/flow_table.h"
// The skeleton needs the structs above.
#include "flow_table.skel.h"

namespace sluice::test {
namespace {

class FlowTable : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "loading BPF programs needs root";
    if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "needs two CPUs";
    load(STRESS_HOMES);
  }
  static bool is_of_a_move(place where) {
    return where == PAUSE_MOVING || where == PAUSE_SEARCHING;
  }
  void load(std::uint32_t homes, bool alike = false, bool moving = false) {
    skeleton_.reset(flow_table_bpf__open());
    ASSERT_TRUE(skeleton_);
    skeleton_->rodata->alike = alike;
    if (moving) {
      skeleton_->rodata->flow_move_phase = SLUICE_FLOW_MOVE_NOW;
      skeleton_->rodata->other_homes4 = homes;
      bpf_map__set_max_entries(skeleton_->maps.local_other4, SLUICE_FLOW_BUCKETS(homes));
    }
    skeleton_->rodata->flow_homes4 = homes;
    bpf_map__set_max_entries(skeleton_->maps.flows4, SLUICE_FLOW_BUCKETS(homes));
    ASSERT_EQ(flow_table_bpf__load(skeleton_.get()), 0) << std::strerror(errno);
  }

  // Runs the program `times` times; returns the last result.
  static std::uint32_t run(const bpf_program* program, int times) {
    char frame[64] = {};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof frame,
                .repeat = times);
    EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0)
        << std::strerror(errno);
    return options.retval;
  }
  static void move_to(unsigned cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  // Runs both at the same time, each on a CPU of its own.
  static void run_beside(const bpf_program* one, const bpf_program* other, int times) {
    std::vector<std::thread> cpus;
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      cpus.emplace_back([&, cpu] {
        move_to(cpu);
        run(cpu == 0 ? one : other, times);
      });
    }
    for (auto& cpu : cpus) cpu.join();
  }
  // Runs `one` on CPU 0 and, as long as that takes, `other` on CPU 1 again and again. On a busy
  // machine a short run would be over before the other CPU's turn comes.
  static void run_throughout(const bpf_program* one, const bpf_program* other, int times) {
    std::atomic<bool> over = false;
    std::thread beside([&] {
      move_to(1);
      while (!over) run(other, times);
    });
    std::thread([&] {
      move_to(0);
      run(one, times);
    }).join();
    over = true;
    beside.join();
  }
  void run_on_two_cpus(int times) {
    run_beside(skeleton_->progs.stress, skeleton_->progs.stress, times);
  }
  // Puts all flows into the other table and empties this one.
  void put_all_into_the_other_table() {
    const int here = bpf_map__fd(skeleton_->maps.flows4);
    const int other = bpf_map__fd(skeleton_->maps.local_other4);
    sluice_bucket4 bucket{}, empty{};
    for (std::uint32_t i = 0; bpf_map_lookup_elem(here, &i, &bucket) == 0; ++i) {
      ASSERT_EQ(bpf_map_update_elem(other, &i, &bucket, BPF_ANY), 0);
      ASSERT_EQ(bpf_map_update_elem(here, &i, &empty, BPF_ANY), 0);
    }
  }
  std::vector<sluice_flow4> slots() { return slots_of(skeleton_->maps.flows4); }
  static std::vector<sluice_flow4> slots_of(const bpf_map* table) {
    std::vector<sluice_flow4> all;
    sluice_bucket4 bucket{};
    const int map = bpf_map__fd(table);
    for (std::uint32_t i = 0; bpf_map_lookup_elem(map, &i, &bucket) == 0; ++i) {
      for (const auto& slot : bucket.slots) all.push_back(slot);
    }
    return all;
  }
  std::vector<std::uint32_t> keys() {
    std::vector<std::uint32_t> all;
    auto both = slots();
    const auto other = slots_of(skeleton_->maps.local_other4);
    both.insert(both.end(), other.begin(), other.end());
    for (const auto& slot : both) {
      if (SLUICE_STATE_GET(slot.state, PROTOCOL)) all.push_back(slot.source);
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  static bool has_duplicate(const std::vector<std::uint32_t>& sorted) {
    return std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
  }
  // Expects no flow, no lock, and no count of flows beyond a bucket.
  void expect_empty() { expect_empty(slots()); }
  static void expect_empty(const std::vector<sluice_flow4>& slots) {
    for (const auto& slot : slots) {
      EXPECT_TRUE(SLUICE_STATE_IS_FREE(slot.state));
      EXPECT_EQ(slot.state & ~SLUICE_STATE_FLOW, 0U);
    }
  }
  // Runs `prepared` and `one` on CPU 0, where `one` is held up at this place until `other` has done
  // its part on CPU 1. On busy CPUs the two may miss each other; then everything begins anew.
  void run_held(bool alike, place where, const char* prepared, const char* one, const char* other) {
    for (int attempt = 0; attempt < 10; ++attempt) {
      load(1, alike, is_of_a_move(where));
      run(program(prepared), 1);
      if (is_of_a_move(where)) put_all_into_the_other_table();
      skeleton_->bss->pause_at = where;
      run_beside(program(one), program(other), 1);
      skeleton_->bss->pause_at = PAUSE_NOWHERE;
      if (counts().met) return;
    }
    FAIL() << "the two CPUs did not meet";
  }
  const bpf_program* program(const char* name) {
    return bpf_object__find_program_by_name(skeleton_->obj, name);
  }
  const stress_counts& counts() const { return skeleton_->bss->counts; }

  struct Destroy {
    void operator()(flow_table_bpf* skeleton) const { flow_table_bpf__destroy(skeleton); }
  };
  std::unique_ptr<flow_table_bpf, Destroy> skeleton_;
};

TEST_F(FlowTable, TwoCpusNeverLoseDuplicateOrTearAFlow) {
  run(skeleton_->progs.prepare, 1);
  ASSERT_EQ(counts().inserted, static_cast<std::uint64_t>(STRESS_ANCHORS));
  for (int round = 0; round < 50; ++round) {
    run_on_two_cpus(20'000);
    const auto present = keys();
    ASSERT_EQ(counts().inserted - counts().removed, present.size());
    ASSERT_FALSE(has_duplicate(present));
  }
  EXPECT_EQ(counts().lost, 0U);
  EXPECT_EQ(counts().torn, 0U);
  // The test was not trivial: every outcome happened, often.
  EXPECT_GT(counts().inserted, 10'000U);
  EXPECT_GT(counts().taken, 10'000U);
  EXPECT_GT(counts().removed, 10'000U);
  EXPECT_GT(counts().found, 10'000U);
  EXPECT_GT(counts().absent, 10'000U);
}

TEST_F(FlowTable, OfTwoCpusThatInsertAFlowAtOnceExactlyOneDoes) {
  for (int round = 0; round < 20; ++round) {
    skeleton_->bss->arrived = 0;
    run_beside(skeleton_->progs.insert_in_step, skeleton_->progs.insert_in_step, 1);
    ASSERT_FALSE(has_duplicate(keys()));
    ASSERT_EQ(keys().size(), static_cast<std::size_t>(STRESS_KEYS));
    run(skeleton_->progs.clear, 1);
  }
  EXPECT_EQ(counts().inserted, counts().taken + counts().contended);
  EXPECT_LT(counts().contended, counts().inserted / 10);
}

TEST_F(FlowTable, WhoFindsAFlowInASlotThatChangesHandsGetsAllOfItOrNothing) {
  load(1);  // every flow has the same home, and the first free slot is always the same
  // On busy CPUs the two may miss each other.
  for (int attempt = 0; attempt < 20'000 && counts().found < 10'000; ++attempt) {
    run_throughout(skeleton_->progs.take_turns, skeleton_->progs.look, 20'000);
  }
  EXPECT_GE(counts().found, 10'000U);
  EXPECT_EQ(counts().torn, 0U);
}

// This is a guard, not a proof: a removal that reads the key before it has claimed the slot fails
// here only if it is held up between the two, by an interrupt or, to try it, by a bpf_loop() of 500
// rounds.
TEST_F(FlowTable, FlowsOfTheSameStateAreNotTakenForEachOther) {
  load(STRESS_HOMES, true);
  run(skeleton_->progs.prepare, 1);
  for (int round = 0; round < 20; ++round) {
    run_on_two_cpus(50'000);
    ASSERT_FALSE(has_duplicate(keys()));
  }
  EXPECT_EQ(counts().torn, 0U);
  run(skeleton_->progs.clear, 1);
  EXPECT_EQ(counts().inserted, counts().removed);
  expect_empty();
}

TEST_F(FlowTable, AnEmptiedTableKeepsNoTraceOfItsFlows) {
  run(skeleton_->progs.prepare, 1);
  run_on_two_cpus(200'000);
  run(skeleton_->progs.clear, 1);
  EXPECT_EQ(counts().inserted, counts().removed);
  expect_empty();
}

// The counter of a full window is at its maximum: one more would carry into the lock.
TEST_F(FlowTable, AFullWindowWhereFlowsComeBeforeOthersHaveQuiteGoneStaysUnlocked) {
  run_held(false, PAUSE_REMOVING, "fill", "remove_held", "come_and_go");
  ASSERT_EQ(counts().removed, 2U);
  const auto all = slots();
  EXPECT_EQ(all[0].state & SLUICE_STATE_LOCK, 0U);
  const auto beyond = std::count_if(all.begin() + SLUICE_BUCKET_SLOTS4, all.end(), [](auto& slot) {
    return SLUICE_STATE_GET(slot.state, PROTOCOL) != 0;
  });
  EXPECT_EQ(all[0].state & SLUICE_STATE_PASSED, beyond * SLUICE_STATE_PASSED_ONE);
  run(skeleton_->progs.insert_one_more, 1);
  EXPECT_EQ(counts().contended, 0U);
}

TEST_F(FlowTable, WhatIsMeantForAFlowThatHasGoneDoesNotHappenToTheNextInItsSlot) {
  load(1, true);
  run(skeleton_->progs.fill, 1);  // so that only the removed flow's slot is free
  EXPECT_EQ(run(skeleton_->progs.act_late, 1), static_cast<std::uint32_t>(XDP_PASS));
}

TEST_F(FlowTable, AnEventThatIsHeldUpDoesNotHappenToTheNextFlowInTheSlot) {
  run_held(true, PAUSE_CHANGING, "insert_held", "note_held", "replace");
  ASSERT_EQ(counts().removed, 1U);
  for (const auto& slot : slots()) EXPECT_EQ(slot.state & SLUICE_FLOW_REPLIED, 0U);
}

// A limit reads these counters: one that is too small for a moment would let one too many in.
TEST_F(FlowTable, AConnectionThatEndsWhileItIsConfirmedLeavesNoCounterBelowZero) {
  run_held(false, PAUSE_COUNTING, "open_held", "confirm_held", "end_and_go_on");
  EXPECT_EQ(counts().negative, 0U);
  const std::uint32_t listener = 0;
  for (const auto* map : {skeleton_->maps.listener_active, skeleton_->maps.listener_half_open,
                          skeleton_->maps.listener_confirmed}) {
    std::uint32_t count = ~0U;
    ASSERT_EQ(bpf_map_lookup_elem(bpf_map__fd(map), &listener, &count), 0);
    EXPECT_EQ(count, 0U) << bpf_map__name(map);
  }
}

// Flows are moved to another table while packets look them up, open and end others. None is missed,
// duplicated or mixed with another, and the old table is empty afterwards.
TEST_F(FlowTable, WhileFlowsAreMovedNoneIsMissedAndNoneIsThereTwice) {
  load(STRESS_HOMES, false, true);
  for (int round = 0; round < 200; ++round) {
    run(skeleton_->progs.fill, 1);
    put_all_into_the_other_table();
    run_beside(skeleton_->progs.move_all, skeleton_->progs.stress, round % 2 ? 1 : 300);
    ASSERT_FALSE(has_duplicate(keys())) << "in round " << round;
    ASSERT_EQ(run(skeleton_->progs.move_all, 1), 0U);
    expect_empty(slots_of(skeleton_->maps.local_other4));
    ASSERT_EQ(counts().inserted - counts().removed, keys().size());
    run(skeleton_->progs.clear, 1);
    expect_empty();
  }
  EXPECT_EQ(counts().lost, 0U);
  EXPECT_EQ(counts().torn, 0U);
  EXPECT_GT(counts().moved, 5'000U);
}

// A change of a flow's old copy at the very moment when it is moved is in the new copy afterwards.
TEST_F(FlowTable, WhatIsNotedWhileAFlowIsMovedIsNotLost) {
  run_held(false, PAUSE_MOVING, "insert_held", "move_all", "note_in_old_copy");
  EXPECT_EQ(counts().lost, 0U) << "it is in the new table before it leaves the old one";
  const auto all = slots();
  EXPECT_EQ(std::count_if(all.begin(), all.end(),
                          [](const auto& slot) { return slot.state & SLUICE_FLOW_REPLIED; }),
            1);
  expect_empty(slots_of(skeleton_->maps.local_other4));
}

TEST_F(FlowTable, AFlowThatIsMovedBetweenTwoLooksOfASearchIsFound) {
  run_held(false, PAUSE_SEARCHING, "insert_held", "look_held", "move_between");
  EXPECT_EQ(counts().moved, 1U);
  EXPECT_EQ(counts().lost, 0U);
}

TEST_F(FlowTable, AFlowThatEndsWhileItIsMovedIsGone) {
  run_held(false, PAUSE_MOVING, "insert_held", "move_all", "remove_old_copy");
  ASSERT_EQ(counts().removed, 1U);
  EXPECT_TRUE(keys().empty());
  expect_empty();
}

// The part of the table that is in use grows and shrinks, in any order, while packets look flows
// up, open and end others. None is missed, duplicated or mixed with another.
TEST_F(FlowTable, WhileTheAreaChangesNoFlowIsMissedAndNoneIsThereTwice) {
  load(STRESS_AREA_HOMES);
  std::array<std::uint32_t, 3> shifts{SLUICE_AREA_SHIFT_OF(STRESS_AREA_BITS),
                                      SLUICE_AREA_SHIFT_OF(STRESS_AREA_BITS + 1), 0};
  run(skeleton_->progs.prepare, 1);
  auto& change = skeleton_->bss->change;
  change.buckets = 7;
  std::uint64_t changes = 0;
  for (std::size_t round = 0; round < 200; ++round) {
    if (change.first == 0) change.shift = shifts[round * 7 / 3 % 3];
    run_beside(skeleton_->progs.change_area, skeleton_->progs.stress, round % 3 ? 20 : 300);
    changes += change.is_shift == change.old_shift ? 1 : 0;
    ASSERT_EQ(counts().inserted - counts().removed, keys().size()) << "in round " << round;
    ASSERT_FALSE(has_duplicate(keys())) << "in round " << round;
  }
  EXPECT_EQ(counts().lost, 0U);
  EXPECT_EQ(counts().torn, 0U);
  EXPECT_GT(change.moved, 1'000U);
  EXPECT_GT(changes, 30U);
  EXPECT_EQ(counts().no_room, 0U);
  run(skeleton_->progs.clear, 1);
  EXPECT_EQ(counts().inserted, counts().removed);
  expect_empty();
}

TEST_F(FlowTable, TheNextHopOfOneMemberIsNotTakenForAnothers) {
  for (std::uint32_t index : {1, 2}) {
    sluice_next_hop hop{};
    hop.generation = 1;
    ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.next_hops), &index, &hop, BPF_ANY),
              0);
  }
  for (int attempt = 0; attempt < 100 && counts().found < 10'000; ++attempt) {
    run_throughout(skeleton_->progs.remember, skeleton_->progs.recall, 100'000);
  }
  EXPECT_GE(counts().found, 10'000U);
  EXPECT_EQ(counts().torn, 0U);
}

}  // namespace
}  // namespace sluice::test
