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

TEST(TurnTimes, TurnsThatExceededALimitCanBeCounted) {
  TurnTimes turns;
  for (const auto took : {1ms + 0ns, 100ms + 0ns, 100ms + 1ns, 150ms + 0ns, 3s + 0ns})
    turns.add(took);
  EXPECT_EQ(turns.turns(), 5U);
  EXPECT_EQ(turns.longer_than(100ms), 3U);
  EXPECT_EQ(turns.longer_than(1s), 1U);
}

}  // namespace
}  // namespace sluice
