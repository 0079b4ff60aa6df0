#include "dataplane/index_table.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace sluice::dataplane {
namespace {

bool any(std::uint32_t) {
  return true;
}

class IndexTableTest : public ::testing::Test {
 protected:
  const Uuid a = new_uuid(), b = new_uuid(), c = new_uuid(), d = new_uuid();
  IndexTable table{3};
};

TEST_F(IndexTableTest, ObjectsGetDifferentIndices) {
  EXPECT_EQ(table.allocate(a, any)->index, 0U);
  EXPECT_EQ(table.allocate(b, any)->index, 1U);
  EXPECT_EQ(table.find(a), 0U);
  EXPECT_EQ(table.find(b), 1U);
  EXPECT_EQ(table.object_at(1), b);
  EXPECT_EQ(table.find(c), std::nullopt);
  EXPECT_EQ(table.object_at(2), std::nullopt);
  EXPECT_EQ(table.object_at(99), std::nullopt);
}

TEST_F(IndexTableTest, AFullTableRefuses) {
  for (const auto& object : {a, b, c}) ASSERT_TRUE(table.allocate(object, any));
  EXPECT_FALSE(table.allocate(d, any));
  EXPECT_EQ(table.find(d), std::nullopt);
}

TEST_F(IndexTableTest, AReleasedIndexIsTakenAfterThoseThatWereNeverUsed) {
  table.allocate(a, any);
  table.release(a);
  EXPECT_EQ(table.find(a), std::nullopt);
  EXPECT_EQ(table.allocate(b, any)->index, 1U);
  EXPECT_EQ(table.allocate(c, any)->index, 2U);
  const auto reused = table.allocate(d, any);
  EXPECT_EQ(reused->index, 0U);
  EXPECT_TRUE(reused->fresh);
}

TEST_F(IndexTableTest, TheLongestReleasedIndexGoesFirst) {
  for (const auto& object : {a, b, c}) table.allocate(object, any);
  table.release(b);
  table.release(a);
  EXPECT_EQ(table.allocate(d, any)->index, 1U);
}

TEST_F(IndexTableTest, AnIndexThatStillHasFlowsIsLeftAlone) {
  for (const auto& object : {a, b, c}) table.allocate(object, any);
  table.release(a);
  table.release(b);
  const auto only_one = [](std::uint32_t index) { return index == 1; };
  EXPECT_EQ(table.allocate(d, only_one)->index, 1U);
  EXPECT_FALSE(table.allocate(new_uuid(), [](std::uint32_t) { return false; }));
}

TEST_F(IndexTableTest, AnObjectThatComesBackGetsItsOwnIndexEvenWithFlowsOnIt) {
  for (const auto& object : {a, b}) table.allocate(object, any);
  table.release(a);
  const auto again = table.allocate(a, [](std::uint32_t) { return false; });
  ASSERT_TRUE(again);
  EXPECT_EQ(again->index, 0U);
  EXPECT_FALSE(again->fresh);
}

TEST_F(IndexTableTest, AnObjectWhoseIndexWentToAnotherStartsAfresh) {
  for (const auto& object : {a, b, c}) table.allocate(object, any);
  table.release(a);
  table.allocate(d, any);
  table.release(b);
  const auto again = table.allocate(a, any);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->index, 1U);
  EXPECT_TRUE(again->fresh);
  EXPECT_EQ(table.find(d), 0U);
}

TEST_F(IndexTableTest, WhatTheMapsHeldAtStartIsKept) {
  table.adopt(2, a);
  table.adopt_released(0, b);
  EXPECT_EQ(table.find(a), 2U);
  EXPECT_EQ(table.find(b), std::nullopt);
  EXPECT_EQ(table.allocate(c, any)->index, 1U);
  EXPECT_EQ(table.allocate(b, any)->index, 0U);
}

class BankedIndexTableTest : public IndexTableTest {
 protected:
  BankedIndexTableTest() { table = IndexTable(6, 2); }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> used() const {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges;
    for (const auto& range : table.used_ranges()) ranges.emplace_back(range.begin, range.end);
    return ranges;
  }
};

TEST_F(BankedIndexTableTest, AnObjectGetsAnIndexOfItsBankAndNoOther) {
  EXPECT_EQ(table.allocate(a, any, 1)->index, 2U);
  EXPECT_EQ(table.allocate(b, any, 1)->index, 3U);
  EXPECT_FALSE(table.allocate(c, any, 1)) << "the other banks have room";
  EXPECT_EQ(table.allocate(c, any, 2)->index, 4U);
  EXPECT_EQ(used(), (std::vector<std::pair<std::uint32_t, std::uint32_t>>{{0, 0}, {2, 4}, {4, 5}}));
  table.release(b);
  EXPECT_EQ(used()[1], (std::pair{2U, 4U})) << "flows may still be counted under the last one";
  EXPECT_EQ(table.allocate(d, any, 1)->index, 3U);
  EXPECT_EQ(table.end(), 5U);
}

TEST_F(BankedIndexTableTest, AFormerIndexOfAnotherBankIsForgotten) {
  table.allocate(a, any, 1);
  table.release(a);
  const auto again = table.allocate(a, any, 2);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->index, 4U);
  EXPECT_TRUE(again->fresh);
  for (const auto& object : {b, c}) ASSERT_TRUE(table.allocate(object, any, 1));
  EXPECT_EQ(table.find(a), 4U) << "its former index has gone to another object";
}

TEST_F(IndexTableTest, ReleasingAStrangerDoesNothing) {
  table.release(a);
  table.allocate(a, any);
  table.release(a);
  table.release(a);
  for (const auto& object : {b, c, d}) EXPECT_TRUE(table.allocate(object, any));
  EXPECT_FALSE(table.allocate(new_uuid(), any));
}

}  // namespace
}  // namespace sluice::dataplane
