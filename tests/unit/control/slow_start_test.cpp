// A member that comes back, or is new, gets connections slowly at first, where its pool says so.
#include "control/slow_start.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/reconciler.hpp"
#include "tests/unit/control/walkthrough.hpp"

namespace sluice::control {
namespace {

using model::Health;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::IsEmpty;

class SlowStartTest : public testing::Test {
 protected:
  SlowStartTest() {
    walkthrough.build(model);
    model.pools.change(walkthrough.pool)->slow_start_seconds = 160;
    follow();
  }

  void follow() { slow_start.follow(model, health, SlowStart::Time(now)); }
  void pass(milliseconds time) {
    now += time;
    follow();
  }

  // Returns how many of the ring's slots are each member's; with least connections, the weights.
  std::map<Uuid, int> slots() {
    const auto state = desired_state(model, health, {}, {}, false, slow_start.shares());
    const auto& entry = state.pools.at({walkthrough.pool, false});
    std::map<Uuid, int> count;
    for (std::size_t i = 0; i < entry.ring.size(); i++) {
      count[entry.ring[i]] += entry.weights.empty() ? 1 : entry.weights[i];
    }
    return count;
  }
  void restart_b() {
    health[walkthrough.b] = Health::down;
    follow();
    health[walkthrough.b] = Health::up;
    follow();
  }

  model::Model model;
  model::HealthTable health;
  test::Walkthrough walkthrough;
  milliseconds now = seconds(1600);
  SlowStart slow_start;
};

TEST_F(SlowStartTest, MembersThatServeAtTheStartHaveTheirShare) {
  EXPECT_THAT(slow_start.shares(), IsEmpty());
  EXPECT_FALSE(slow_start.next());
}

TEST_F(SlowStartTest, AMemberThatIsUpAgainGrowsBySixteenths) {
  restart_b();
  EXPECT_EQ(slots(), (std::map<Uuid, int>{{walkthrough.a, 16}, {walkthrough.b, 1}}));
  EXPECT_EQ(slow_start.next(), SlowStart::Time(now + seconds(10)));
  EXPECT_EQ(slow_start.full_at(walkthrough.b), SlowStart::Time(now + seconds(160)));
  pass(seconds(19));
  EXPECT_EQ(slow_start.shares().at(walkthrough.b), 1U);
  pass(seconds(1));
  EXPECT_EQ(slots(), (std::map<Uuid, int>{{walkthrough.a, 8}, {walkthrough.b, 1}}));
  for (std::uint32_t share = 3; share < full_share; share++) {
    pass(seconds(10));
    EXPECT_EQ(slow_start.shares().at(walkthrough.b), share);
  }
  pass(seconds(10));
  EXPECT_EQ(slots(), (std::map<Uuid, int>{{walkthrough.a, 1}, {walkthrough.b, 1}}));
  EXPECT_FALSE(slow_start.next());
  EXPECT_FALSE(slow_start.full_at(walkthrough.b));
}

TEST_F(SlowStartTest, MembersThatStartAtOtherTimesStepTogether) {
  restart_b();
  pass(milliseconds(5500));
  const auto c = walkthrough.add_member(model, "10.0.0.7");
  follow();
  EXPECT_EQ(slow_start.next(), SlowStart::Time(now + milliseconds(4500)));
  EXPECT_EQ(slow_start.full_at(c), slow_start.full_at(walkthrough.b));
}

TEST_F(SlowStartTest, NewEnabledAndUndrainedMembersStartTooAndSuspectedOrRenamedOnesDoNot) {
  const auto c = walkthrough.add_member(model, "10.0.0.7");
  model.members.change(walkthrough.a)->name = "another";
  follow();
  EXPECT_EQ(slow_start.shares(), (Starting{{c, 1}}));
  pass(seconds(160));
  model.members.change(walkthrough.a)->admin_state_up = false;
  model.members.change(walkthrough.b)->weight = 0;
  follow();
  EXPECT_THAT(slow_start.shares(), IsEmpty());
  model.members.change(walkthrough.a)->admin_state_up = true;
  follow();
  model.members.change(walkthrough.b)->weight = 5;
  follow();
  EXPECT_EQ(slow_start.shares(), (Starting{{walkthrough.a, 1}, {walkthrough.b, 1}}));
}

TEST_F(SlowStartTest, AMemberThatFailsAgainBeginsAgain) {
  restart_b();
  pass(seconds(100));
  EXPECT_EQ(slow_start.shares().at(walkthrough.b), 10U);
  restart_b();
  EXPECT_EQ(slow_start.shares().at(walkthrough.b), 1U);
  model.members.erase(walkthrough.b);
  follow();
  EXPECT_THAT(slow_start.shares(), IsEmpty());
}

TEST_F(SlowStartTest, APoolWithoutOneStartsNobodyAndAShorterOneCountsAtOnce) {
  model.pools.change(walkthrough.pool)->slow_start_seconds = 0;
  restart_b();
  EXPECT_THAT(slow_start.shares(), IsEmpty());
  model.pools.change(walkthrough.pool)->slow_start_seconds = 160;
  restart_b();
  pass(seconds(30));
  model.pools.change(walkthrough.pool)->slow_start_seconds = 32;
  follow();
  EXPECT_EQ(slow_start.shares().at(walkthrough.b), 15U);
  model.pools.change(walkthrough.pool)->slow_start_seconds.reset();
  follow();
  EXPECT_THAT(slow_start.shares(), IsEmpty());
}

TEST_F(SlowStartTest, TheOnlyMemberAndMembersOfOneStepGetWhatTheirWeightsSay) {
  restart_b();
  health[walkthrough.a] = Health::down;
  follow();
  EXPECT_EQ(slots(), (std::map<Uuid, int>{{walkthrough.b, 1}}));
  restart_b();
  health[walkthrough.a] = Health::up;
  follow();
  EXPECT_EQ(slots(), (std::map<Uuid, int>{{walkthrough.a, 1}, {walkthrough.b, 1}}));
}

TEST_F(SlowStartTest, LeastConnectionsWeighsInSixteenthsAndHashTablesStay) {
  model.pools.change(walkthrough.pool)->lb_algorithm = model::Algorithm::least_connections;
  model.members.change(walkthrough.a)->weight = 256;
  model.members.change(walkthrough.b)->weight = 3;
  restart_b();
  pass(seconds(20));
  EXPECT_EQ(slots(), (std::map<Uuid, int>{{walkthrough.a, 4096}, {walkthrough.b, 6}}));
  for (const auto hash :
       {model::Algorithm::source_ip, model::Algorithm::source_ip_port, model::Algorithm::maglev}) {
    model.pools.change(walkthrough.pool)->lb_algorithm = hash;
    const auto starting = slots();
    slow_start = {};
    follow();
    EXPECT_EQ(slots(), starting);
    restart_b();
  }
}

}  // namespace
}  // namespace sluice::control
