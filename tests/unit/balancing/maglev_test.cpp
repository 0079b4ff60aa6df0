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
  EXPECT_TRUE(maglev_table({}).empty());
  EXPECT_TRUE(maglev_table({{new_uuid(), 0}}).empty());
}

TEST(Maglev, MembersOfEqualWeightHaveNearlyEqualParts) {
  const auto shares = equal_shares(10);
  const auto table = maglev_table(shares);
  EXPECT_EQ(table.size(), maglev_slots(10));
  for (const auto& [member, slots] : slots_of(table)) {
    EXPECT_NEAR(static_cast<double>(slots), static_cast<double>(table.size()) / 10, 1.0);
  }
}

TEST(Maglev, PartsFollowTheWeights) {
  auto shares = equal_shares(3);
  shares[0].weight = 3;
  auto count = slots_of(maglev_table(shares));
  const auto total = static_cast<double>(maglev_slots(3));
  EXPECT_NEAR(static_cast<double>(count[shares[0].member]) / total, 0.6, 0.02);
  EXPECT_NEAR(static_cast<double>(count[shares[1].member]) / total, 0.2, 0.02);
}

TEST(Maglev, TheOrderOfTheMembersDoesNotMatter) {
  auto shares = equal_shares(7);
  const auto table = maglev_table(shares);
  std::reverse(shares.begin(), shares.end());
  EXPECT_EQ(maglev_table(shares), table);
}

TEST(Maglev, WhenAMemberLeavesTheOthersKeepNearlyAllTheirSlots) {
  auto shares = equal_shares(10);
  const auto before = maglev_table(shares);
  const auto gone = shares.back().member;
  shares.pop_back();
  const auto after = maglev_table(shares);
  ASSERT_EQ(before.size(), after.size());
  std::size_t moved = 0, kept = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] == gone) continue;
    ++(before[i] == after[i] ? kept : moved);
  }
  EXPECT_LT(static_cast<double>(moved) / static_cast<double>(moved + kept), 0.05);
}

TEST(Maglev, LargePoolsFitIntoARing) {
  EXPECT_LE(maglev_slots(100000), max_ring_slots);
  EXPECT_EQ(maglev_table(equal_shares(700)).size(), 65521U);
}

}  // namespace
}  // namespace sluice::balancing
