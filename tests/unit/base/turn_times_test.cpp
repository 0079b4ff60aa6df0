#include "base/turn_times.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace std::chrono_literals;

TEST(TurnTimes, EachTurnCountsOnceByTheFirstLimitThatItKept) {
  TurnTimes turns;
  for (const auto took : {0ns, 999us + 0ns, 1ms + 0ns, 1ms + 1ns, 49ms + 0ns, 3s + 0ns})
    turns.add(took);
  EXPECT_EQ(turns.counts()[0], 3U) << "within 1 ms";
  EXPECT_EQ(turns.counts()[1], 1U) << "within 2 ms";
  EXPECT_EQ(turns.counts()[5], 1U) << "within 50 ms";
  EXPECT_EQ(turns.counts().back(), 1U);
  EXPECT_EQ(turns.longest(), 3s);
  EXPECT_EQ(turns.sum(), 3s + 49ms + 1ms + 1ms + 1ns + 999us);
}

}  // namespace
}  // namespace sluice
