#include "health/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace sluice::health {
namespace {

using namespace std::chrono_literals;

TEST(Schedule, TheFirstProbeStartsWithinASecondAndWithinTheDelay) {
  for (int i = 0; i < 1000; ++i) {
    const auto member = new_uuid();
    EXPECT_GE(first_wait(member, 60s, 1s), 0ms);
    EXPECT_LT(first_wait(member, 60s, 1s), 1s);
    EXPECT_LT(first_wait(member, 100ms, 1s), 100ms);
  }
}

TEST(Schedule, TheSecondProbeFollowsAfterHalfAWholeDelay) {
  for (int i = 0; i < 1000; ++i) {
    const auto gap = second_gap(new_uuid(), 60s);
    EXPECT_GE(gap, 30s);
    EXPECT_LE(gap, 60s);
  }
}

TEST(Schedule, IsTheSameEveryTimeForOneMember) {
  const auto member = new_uuid();
  EXPECT_EQ(first_wait(member, 60s, 1s), first_wait(member, 60s, 1s));
  EXPECT_EQ(second_gap(member, 60s), second_gap(member, 60s));
}

// 10,000 members in 100 slots of 10 ms: 100 each on average; 200 would be ten standard deviations.
TEST(Schedule, MembersSpreadEvenly) {
  std::vector<int> per_slot(100);
  for (int i = 0; i < 10000; ++i)
    ++per_slot[static_cast<std::size_t>(first_wait(new_uuid(), 5s, 1s) / 10ms)];
  EXPECT_LT(*std::max_element(per_slot.begin(), per_slot.end()), 200);
}

}  // namespace
}  // namespace sluice::health
