// A standby group: who answers for the VIPs of a link, when nodes and etcd come and go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fleet/simulation.hpp"

namespace sluice::fleet::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Standby : public testing::Test {
 protected:
  void wait(int milliseconds) {
    simulation.scheduler.run_until(simulation.scheduler.now() + Time(milliseconds));
  }
  Node& node(std::size_t number) { return *simulation.nodes[number - 1]; }
  // The one node that answers; waits for it.
  Node& active() {
    EXPECT_THAT(simulation.answering(), SizeIs(1));
    for (const auto& one : simulation.nodes) {
      if (one->answers) return *one;
    }
    return node(1);
  }
  Node& other() {
    for (const auto& one : simulation.nodes) {
      if (!one->answers) return *one;
    }
    return node(1);
  }

  Simulation simulation{7, 2};
};

TEST_F(Standby, OneOfTheNodesAnswersAndAllKnowWhich) {
  EXPECT_THAT(simulation.answering(), IsEmpty()) << "nobody before etcd has said who";
  wait(1000);
  const auto name = active().name;
  wait(4000);
  EXPECT_EQ(active().name, name);
  for (const auto& one : simulation.nodes) EXPECT_EQ(one->group->active_node(), name);
}

// The machine has died, so nothing answers there any more.
TEST_F(Standby, AfterTheDeathOfTheActiveNodeItsStandbyTakesOver) {
  wait(1000);
  auto& dead = active();
  auto& standby = other();
  simulation.crash(dead);
  dead.answers = false;
  wait(4000);
  EXPECT_THAT(simulation.answering(), IsEmpty());
  wait(1200);
  EXPECT_THAT(simulation.answering(), ElementsAre(standby.name)) << "when its lease has ended";
  simulation.start(dead);
  wait(10'000);
  EXPECT_THAT(simulation.answering(), ElementsAre(standby.name)) << "which stays so";
}

TEST_F(Standby, ARestartWithinTheLeaseChangesNothing) {
  wait(1000);
  auto& first = active();
  simulation.crash(first);
  wait(1500);
  simulation.start(first);
  wait(10'000);
  EXPECT_EQ(active().name, first.name);
}

TEST_F(Standby, WhileThereIsNoEtcdTheActiveNodeStaysActive) {
  wait(1000);
  auto& first = active();
  simulation.etcd.has_quorum = false;
  wait(60'000);
  EXPECT_EQ(active().name, first.name);
  simulation.crash(first);
  simulation.start(first);
  wait(60'000);
  EXPECT_EQ(active().name, first.name) << "also after a restart";
  simulation.etcd.has_quorum = true;
  wait(10'000);
  EXPECT_EQ(active().name, first.name);
}

// Its standby takes over, which the link tells it.
TEST_F(Standby, ANodeThatIsCutOffFromEtcdGivesWayToTheOneThatTookOver) {
  wait(1000);
  auto& first = active();
  auto& second = other();
  first.client->partitioned = true;
  wait(9000);
  EXPECT_THAT(simulation.answering(), ElementsAre(second.name));
  first.client->partitioned = false;
  wait(10'000);
  EXPECT_THAT(simulation.answering(), ElementsAre(second.name));
}

TEST_F(Standby, ADrainedNodeHandsOverAndTakesNothingOver) {
  wait(1000);
  auto& first = active();
  auto& second = other();
  first.may_serve = false;
  wait(1200);
  EXPECT_THAT(simulation.answering(), ElementsAre(second.name)) << "long before a lease ends";
  simulation.crash(second);
  second.answers = false;
  wait(20'000);
  EXPECT_THAT(simulation.answering(), IsEmpty());
  first.may_serve = true;
  wait(4000);
  EXPECT_THAT(simulation.answering(), ElementsAre(first.name));
}

TEST_F(Standby, AnEtcdThatHasLostTheKeyGetsAnotherOne) {
  wait(1000);
  simulation.etcd.restore({});
  wait(10'000);
  EXPECT_EQ(other().group->active_node(), active().name);
}

}  // namespace
}  // namespace sluice::fleet::test
