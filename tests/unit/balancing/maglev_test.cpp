#include "balancing/maglev.hpp"

#include <gtest/gtest.h>

#include <map>

namespace sluice::balancing {
namespace {

std::vector<Share> equal_shares(std::size_t count) {
  std::vector<Share> shares;
  for (std::size_t i = 0; i < count; ++i) shares.push_back({new_uuid(), 1});
  return shares;
}

std::map<Uuid, std::size_t> slots_of(const std::vector<Uuid>& table) {
  std::map<Uuid, std::size_t> count;
  for (const auto& member : table) ++count[member];
  return count;
}

TEST(Maglev, NobodyHasNoTable) {
  EXPECT_TRUE(maglev_table({}, 0).empty());
  EXPECT_TRUE(maglev_table({{new_uuid(), 0}}, 1).empty());
}

TEST(Maglev, MembersOfEqualWeightHaveNearlyEqualParts) {
  const auto shares = equal_shares(10);
  const auto table = maglev_table(shares, shares.size());
  EXPECT_EQ(table.size(), maglev_slots(10));
  for (const auto& [member, slots] : slots_of(table)) {
    EXPECT_NEAR(static_cast<double>(slots), static_cast<double>(table.size()) / 10, 1.0);
  }
}

TEST(Maglev, PartsFollowTheWeights) {
  auto shares = equal_shares(3);
  shares[0].weight = 3;
  auto count = slots_of(maglev_table(shares, shares.size()));
  const auto total = static_cast<double>(maglev_slots(3));
  EXPECT_NEAR(static_cast<double>(count[shares[0].member]) / total, 0.6, 0.02);
  EXPECT_NEAR(static_cast<double>(count[shares[1].member]) / total, 0.2, 0.02);
}

TEST(Maglev, TheOrderOfTheMembersDoesNotMatter) {
  auto shares = equal_shares(7);
  const auto table = maglev_table(shares, shares.size());
  std::reverse(shares.begin(), shares.end());
  EXPECT_EQ(maglev_table(shares, shares.size()), table);
}

// The part of the remaining members' slots that change their member when the last one leaves.
double moved_when_one_leaves(std::vector<Share> shares) {
  const auto members = shares.size();
  const auto before = maglev_table(shares, members);
  const auto gone = shares.back().member;
  shares.pop_back();
  const auto after = maglev_table(shares, members);
  std::size_t moved = 0, kept = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] == gone) continue;
    ++(before[i] == after.at(i) ? kept : moved);
  }
  return static_cast<double>(moved) / static_cast<double>(moved + kept);
}

// Of 300 pools of ten, 2.7 % of the slots moved on average, 6 % in the worst.
TEST(Maglev, WhenAMemberLeavesTheOthersKeepNearlyAllTheirSlots) {
  double sum = 0;
  for (int pool = 0; pool < 50; ++pool) sum += moved_when_one_leaves(equal_shares(10));
  EXPECT_LT(sum / 50, 0.05);
}

TEST(Maglev, AFailedMemberDoesNotChangeTheLengthOfTheTable) {
  ASSERT_NE(maglev_slots(40), maglev_slots(41));
  double sum = 0;
  for (int pool = 0; pool < 5; ++pool) sum += moved_when_one_leaves(equal_shares(41));
  EXPECT_LT(sum / 5, 0.05);
}

TEST(Maglev, APoolThatGrowsToFortyMembersKeepsItsLength) {
  for (std::size_t members = 1; members <= 40; ++members)
    EXPECT_EQ(maglev_slots(members), maglev_slots(1)) << members;
}

TEST(Maglev, LargePoolsFitIntoARing) {
  EXPECT_LE(maglev_slots(100000), max_ring_slots);
  EXPECT_EQ(maglev_table(equal_shares(700), 700).size(), 65521U);
}

}  // namespace
}  // namespace sluice::balancing
