// When a node that is drained withdraws its VIPs.
#include "control/vip_routes.hpp"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class DrainTest : public testing::Test {
 protected:
  DrainState after(milliseconds time) const { return progress.state(begin + time); }

  const DrainProgress::Time begin{seconds(1000)};
  DrainProgress progress;
};

TEST_F(DrainTest, NobodyIsDrainedUnasked) {
  progress.raised(begin);
  EXPECT_EQ(after(seconds(20)).drain, Drain::none);
}

TEST_F(DrainTest, RoutersHaveTenSecondsFromWhenTheMetricIsRaised) {
  progress.follow(true);
  EXPECT_EQ(after(seconds(60)).drain, Drain::draining) << "the kernel has the old metric yet";
  EXPECT_EQ(after(seconds(60)).left, until_withdrawal);
  progress.raised(begin);
  progress.raised(begin + seconds(9));  // a look at the routes later
  EXPECT_EQ(after(milliseconds(0)).left, seconds(10));
  EXPECT_EQ(after(milliseconds(9'999)).drain, Drain::draining);
  EXPECT_EQ(after(milliseconds(9'999)).left, milliseconds(1));
  EXPECT_EQ(after(seconds(10)).drain, Drain::drained);
}

TEST_F(DrainTest, WhatAnEarlierProcessHasWithdrawnStaysWithdrawn) {
  progress.follow(true);
  progress.is_over(begin);
  progress.raised(begin);
  EXPECT_EQ(after(milliseconds(0)).drain, Drain::drained);
}

TEST_F(DrainTest, TheNextDrainBeginsAnew) {
  progress.follow(true);
  progress.raised(begin);
  progress.follow(false);
  EXPECT_EQ(after(seconds(20)).drain, Drain::none);
  progress.follow(true);
  EXPECT_EQ(after(seconds(20)).drain, Drain::draining);
}

}  // namespace
}  // namespace sluice::control
