// When a node that is drained withdraws its VIPs.
#include "control/vip_routes.hpp"

#include <gtest/gtest.h>

#include "model/edit.hpp"

namespace sluice::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class DrainTest : public testing::Test {
 protected:
  DrainTest() { model::drain_node(model, "lb1", since); }

  DrainState after(milliseconds time) const { return drain_state(model, "lb1", since + time); }

  const model::Timestamp since{std::chrono::microseconds(1'700'000'000'000'000)};
  model::Model model;
};

TEST_F(DrainTest, AnotherNodeIsNotDrained) {
  EXPECT_EQ(drain_state(model, "lb2", since).drain, Drain::none);
}

TEST_F(DrainTest, RoutersHaveTenSecondsToPreferOthers) {
  EXPECT_EQ(after(milliseconds(0)).drain, Drain::draining);
  EXPECT_EQ(after(milliseconds(0)).left, seconds(10));
  EXPECT_EQ(after(milliseconds(9'999)).drain, Drain::draining);
  EXPECT_EQ(after(milliseconds(9'999)).left, milliseconds(1));
  EXPECT_EQ(after(seconds(10)).drain, Drain::drained);
}

TEST_F(DrainTest, AClockThatWasSetBackMakesItNoLonger) {
  EXPECT_EQ(after(-seconds(3600)).drain, Drain::draining);
  EXPECT_EQ(after(-seconds(3600)).left, until_withdrawal);
}

}  // namespace
}  // namespace sluice::control
