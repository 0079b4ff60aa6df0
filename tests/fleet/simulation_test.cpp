// A fleet keeps its promises whatever the network does, and nodes that come and go.
//
// SLUICE_FLEET_SEED=N runs one seed, SLUICE_FLEET_SEEDS=N so many, SLUICE_FLEET_LIFE=MS each for so
// long.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>

#include "tests/fleet/simulation.hpp"

namespace sluice::fleet::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const auto* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Two to five nodes, seldom many of them.
constexpr std::size_t sizes[] = {2, 3, 2, 3, 4, 2, 3, 5};

std::vector<std::string> run(std::uint64_t seed, Fault fault = Fault::none) {
  // Many short lives find more than a few long ones of the same cost.
  static const Time life(static_cast<int>(number_from("SLUICE_FLEET_LIFE", 2'500)));
  Simulation simulation(seed, sizes[seed % std::size(sizes)], {.rehearses = false, .fault = fault});
  simulation.live(life);
  simulation.settle();
  return simulation.check();
}

TEST(FleetSimulation, WhatWasAcknowledgedIsThereOnceAndAllNodesAgree) {
  const auto only = number_from("SLUICE_FLEET_SEED", 0);
  const auto first = only != 0 ? only : 1;
  const auto last = only != 0 ? only : number_from("SLUICE_FLEET_SEEDS", 2000);
  for (auto seed = first; seed <= last; seed++) {
    ASSERT_THAT(run(seed), IsEmpty()) << "SLUICE_FLEET_SEED=" << seed;
  }
}

// The simulation is worth what it finds: each of these faults, in a few of its seeds.
struct Planted {
  Fault fault;
  const char* name;
  const char* found;  // the promise that is broken
};

class PlantedFault : public testing::TestWithParam<Planted> {};

TEST_P(PlantedFault, IsFound) {
  constexpr std::uint64_t most_seeds = 100;
  for (std::uint64_t seed = 1; seed <= most_seeds; seed++) {
    for (const auto& line : run(seed, GetParam().fault)) {
      if (line.find(GetParam().found) != line.npos)
        return RecordProperty("seed", std::to_string(seed));
    }
  }
  FAIL() << "not in " << most_seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    Fleet, PlantedFault,
    testing::Values(Planted{Fault::compares_nothing, "compares_nothing", "was stored, and is lost"},
                    Planted{Fault::watch_has_a_gap, "watch_has_a_gap", "it has another state than"},
                    Planted{Fault::knows_no_requests, "knows_no_requests", "has happened 2 times"},
                    Planted{Fault::reserves_no_address, "reserves_no_address", " belongs to "}),
    [](const auto& test) { return test.param.name; });

// Deterministic cases; the network is quiet.
class Fleet : public testing::Test {
 protected:
  void wait(int milliseconds) {
    simulation.scheduler.run_until(simulation.scheduler.now() + Time(milliseconds));
  }
  Node& node(std::size_t number) { return *simulation.nodes[number - 1]; }
  std::size_t size(std::size_t number) {
    return node(number).controller->model().load_balancers.size();
  }
  Asked::Told last_answer() const { return simulation.asked.back()->told; }

  Simulation simulation{7, 3};
};

TEST_F(Fleet, AChangeAtOneNodeIsAppliedAtAll) {
  wait(100);
  simulation.create(node(2));
  wait(200);
  EXPECT_EQ(last_answer(), Asked::Told::stored);
  for (const auto& one : simulation.nodes) {
    EXPECT_EQ(one->data_plane.state.vips.size(), 1U) << one->name;
    for (const auto& [id, object] : one->controller->model().load_balancers)
      EXPECT_EQ(object.provisioning_status, model::ProvisioningStatus::active);
  }
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, TwoNodesThatAllocateAtTheSameTimeGetTwoAddresses) {
  wait(100);
  for (std::size_t number = 1; number <= 3; number++) simulation.create(node(number));
  wait(2000);
  EXPECT_EQ(size(1), 3U);
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, WithoutQuorumChangesAreRefusedAndANodeStartsFromItsCopy) {
  wait(100);
  simulation.create(node(1));
  wait(500);
  simulation.etcd.has_quorum = false;
  wait(10'000);
  simulation.create(node(1));
  wait(1);
  EXPECT_EQ(last_answer(), Asked::Told::refused) << "at once";
  simulation.crash(node(3));
  simulation.start(node(3));
  wait(5000);
  EXPECT_EQ(node(3).data_plane.state.vips.size(), 1U);
  EXPECT_EQ(node(3).writer->standing(), Standing::cut_off);
  simulation.create(node(3));
  wait(10'000);
  EXPECT_EQ(last_answer(), Asked::Told::refused);
  simulation.etcd.has_quorum = true;
  wait(5000);
  simulation.create(node(3));
  wait(500);
  EXPECT_EQ(last_answer(), Asked::Told::stored);
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, AHealthOfMembersIsStoredWithoutQuorumToo) {
  wait(100);
  simulation.etcd.has_quorum = false;
  wait(10'000);
  const auto commits = node(1).disk.commits;
  node(1).controller->note({.kind = "health"});
  node(1).controller->store_notes();
  EXPECT_EQ(node(1).disk.commits, commits + 1);
  EXPECT_TRUE(node(1).controller->store_failure().empty());
}

TEST_F(Fleet, ThatHealthIsStoredDoesNotMeanThatChangesAre) {
  wait(100);
  simulation.etcd.has_quorum = false;
  simulation.create(node(1));
  wait(20'000);
  ASSERT_EQ(last_answer(), Asked::Told::unknown);
  node(1).controller->note({.kind = "health"});
  node(1).controller->store_notes();
  wait(1000);
  EXPECT_THAT(node(1).log, Not(Contains("the store takes changes again")));
  EXPECT_FALSE(node(1).controller->store_failure().empty());
  simulation.etcd.has_quorum = true;
  wait(5000);
  EXPECT_THAT(node(1).log, Contains("the store takes changes again"));
  EXPECT_TRUE(node(1).controller->store_failure().empty());
}

TEST_F(Fleet, AFullEtcdIsSaidToTakeChangesAgainOnceItDoes) {
  wait(100);
  simulation.etcd.is_full = true;
  simulation.create(node(1));
  wait(500);
  ASSERT_EQ(last_answer(), Asked::Told::refused);
  node(1).controller->note({.kind = "health"});
  node(1).controller->store_notes();
  wait(20'000);
  EXPECT_THAT(node(1).log, Not(Contains("the store takes changes again")));
  EXPECT_THAT(node(1).controller->store_failure(), HasSubstr("space exceeded"));
  simulation.etcd.is_full = false;
  wait(5000);
  EXPECT_THAT(node(1).log, Contains("the store takes changes again")) << "though nobody tries";
  EXPECT_TRUE(node(1).controller->store_failure().empty());
  simulation.create(node(1));
  wait(500);
  EXPECT_EQ(last_answer(), Asked::Told::stored);
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, AnEmptyEtcdWipesNobody) {
  wait(100);
  simulation.create(node(1));
  wait(500);
  simulation.etcd.restore({});
  wait(10'000);
  for (const auto& one : simulation.nodes) {
    EXPECT_EQ(one->writer->standing(), Standing::refused) << one->name;
    EXPECT_THAT(one->writer->reason(), HasSubstr("etcd is empty"));
    EXPECT_EQ(one->data_plane.state.vips.size(), 1U);
  }
  simulation.create(node(2));
  wait(1);
  EXPECT_EQ(last_answer(), Asked::Told::refused);

  bool restored = false;
  node(2).writer->restore([&](const Result<void>& done) { restored = done.has_value(); });
  wait(5000);
  EXPECT_TRUE(restored);
  simulation.create(node(3));
  wait(500);
  EXPECT_EQ(last_answer(), Asked::Told::stored);
  EXPECT_EQ(size(1), 2U);
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, WhoRemovesAllKeysWipesNobody) {
  wait(100);
  simulation.create(node(1));
  wait(500);
  Transaction removal{.key = "x", .expected = {}, .puts = {}, .removals = {}, .read_otherwise = {}};
  for (const auto& [key, entry] : simulation.etcd.keys()) removal.removals.push_back(key);
  ASSERT_TRUE(simulation.etcd.transact(removal)->happened);
  wait(500);
  for (const auto& one : simulation.nodes) {
    EXPECT_EQ(one->writer->standing(), Standing::refused) << one->name;
    EXPECT_EQ(one->data_plane.state.vips.size(), 1U);
  }
  node(2).writer->restore([](const Result<void>&) {});
  wait(5000);
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, AnOlderSnapshotIsRefusedAndTheNewerStateRestored) {
  wait(100);
  simulation.create(node(1));
  wait(500);
  const auto snapshot = simulation.etcd.snapshot();
  simulation.create(node(2));
  wait(500);
  simulation.etcd.restore(snapshot);
  wait(10'000);
  EXPECT_EQ(node(3).writer->standing(), Standing::refused);
  EXPECT_THAT(node(3).writer->reason(), HasSubstr("older than this node's (change 1 of 2)"));
  EXPECT_EQ(size(3), 2U);
  node(1).writer->restore([](const Result<void>&) {});
  wait(5000);
  EXPECT_EQ(size(3), 2U);
  simulation.create(node(3));
  wait(500);
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, ASnapshotOfThePresentStateIsFollowedAtOnce) {
  wait(100);
  simulation.create(node(1));
  wait(500);
  simulation.etcd.restore(simulation.etcd.snapshot());
  wait(5000);
  simulation.create(node(2));
  wait(1000);
  EXPECT_EQ(last_answer(), Asked::Told::stored);
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, AStrangersAttributeTravelsThroughUntouched) {
  wait(100);
  simulation.create(node(1));
  wait(500);
  std::string key;
  for (const auto& [name, entry] : simulation.etcd.keys()) {
    if (name.find("/loadbalancer/") != name.npos) key = name;
  }
  auto value = simulation.etcd.keys().at(key).value;
  value.insert(1, R"("of_a_newer_version":{"x":[1]},)");
  const auto head = simulation.etcd.keys().at(Keys().generation()).value;
  auto next = *Head::parse(head);
  next.generation++;
  next.request = new_uuid();
  ASSERT_TRUE(simulation.etcd
                  .transact({.key = Keys().generation(),
                             .expected = head,
                             .puts = {{key, value}, {Keys().generation(), next.text()}},
                             .removals = {},
                             .read_otherwise = {}})
                  ->happened);
  wait(500);
  simulation.append(node(2), "<0>");
  wait(500);
  EXPECT_EQ(last_answer(), Asked::Told::stored);
  EXPECT_THAT(simulation.etcd.keys().at(key).value, HasSubstr(R"("of_a_newer_version":{"x":[1]})"));
  EXPECT_THAT(simulation.check(), IsEmpty());
}

TEST_F(Fleet, AnEtcdWithTheUsualLimitIsToldOf) {
  wait(1000);
  EXPECT_EQ(node(1).writer->most_operations(), 128U);
  EXPECT_THAT(node(1).log, Contains(HasSubstr("--max-txn-ops=4096")));
}

TEST_F(Fleet, AnEtcdThatForgetsNothingIsToldOf) {
  const auto warning = HasSubstr("--auto-compaction-retention=1");
  simulation.etcd.age(99'000);
  wait(1000);
  EXPECT_THAT(node(1).log, Not(Contains(warning)));
  simulation.etcd.age(2'000);
  wait(3'600'000);
  EXPECT_THAT(node(1).log, Contains(warning).Times(1));
  simulation.crash(node(2));
  node(2).log.clear();
  simulation.start(node(2));
  wait(1000);
  EXPECT_THAT(node(2).log, Contains(warning)) << "at the start";
  simulation.etcd.compact(5'000);
  wait(3'600'000);
  EXPECT_THAT(node(1).log, Contains("etcd's history is compacted again"));
  simulation.crash(node(3));
  node(3).log.clear();
  simulation.start(node(3));
  wait(1000);
  EXPECT_THAT(node(3).log, Not(Contains(warning)));
}

TEST_F(Fleet, ADiskThatTakesNoCopyKeepsNobodyFromChanges) {
  wait(100);
  node(2).disk.veto = [](std::size_t) {
    return Result<void>(fail(ErrorKind::system, "no space left on device"));
  };
  simulation.create(node(2));
  wait(500);
  EXPECT_EQ(last_answer(), Asked::Told::stored);
  node(2).disk.veto = {};
  simulation.create(node(2));
  wait(500);
  EXPECT_THAT(simulation.check(), IsEmpty());
}

}  // namespace
}  // namespace sluice::fleet::test
