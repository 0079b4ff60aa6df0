// When a node that starts announces its VIPs, and when one that is drained withdraws them.
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

class JoiningTest : public testing::Test {
 protected:
  bool waits_after(milliseconds time, const std::string& lacks) {
    return joining.waits(begin + time, lacks);
  }

  const Joining::Time begin{seconds(1000)};
  Joining joining{begin};
};

TEST_F(JoiningTest, ANodeThatLacksNothingAnnouncesAtOnce) {
  EXPECT_FALSE(waits_after(milliseconds(0), ""));
}

TEST_F(JoiningTest, ANodeWaitsForWhatItLacksButNotForLongerThanTenSeconds) {
  EXPECT_TRUE(waits_after(milliseconds(0), "the fleet's state"));
  EXPECT_TRUE(waits_after(milliseconds(9'999), "the connections of lb2"));
  EXPECT_FALSE(waits_after(seconds(10), "the connections of lb2"));
}

TEST_F(JoiningTest, WhoHasJoinedWaitsForNothingAnyMore) {
  EXPECT_TRUE(waits_after(seconds(1), "the fleet's state"));
  EXPECT_FALSE(waits_after(seconds(2), ""));
  EXPECT_FALSE(waits_after(seconds(3), "the fleet's state")) << "it has lost the others later";
}

}  // namespace
}  // namespace sluice::control
