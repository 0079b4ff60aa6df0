#include "balancing/ring.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

#include "maps/pool.h"

namespace sluice::balancing {
namespace {

static_assert(max_ring_slots == SLUICE_MAX_RING_SLOTS, "both name the data plane's limit");

// Member 0 is 'A', member 1 'B', ...
Uuid member(std::size_t index) {
  Uuid id{};
  id.data[14] = static_cast<std::uint8_t>(index >> 8);
  id.data[15] = static_cast<std::uint8_t>(index & 0xff);
  return id;
}

std::size_t index_of(const Uuid& id) {
  return std::size_t{id.data[14]} << 8 | id.data[15];
}

std::vector<Share> shares(const std::vector<std::uint32_t>& weights) {
  std::vector<Share> result;
  for (std::size_t i = 0; i < weights.size(); i++) result.push_back({member(i), weights[i]});
  return result;
}

std::string letters(const std::vector<std::uint32_t>& weights) {
  std::string text;
  for (const auto& id : smooth_ring(shares(weights))) text += static_cast<char>('A' + index_of(id));
  return text;
}

std::vector<std::size_t> counts(const std::vector<Uuid>& ring, std::size_t members) {
  std::vector<std::size_t> result(members, 0);
  for (const auto& id : ring) result[index_of(id)]++;
  return result;
}

// The largest difference, after any number of slots, between a member's slots and its exact share.
double worst_deviation(const std::vector<Uuid>& ring, const std::vector<std::uint32_t>& weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::size_t> had(weights.size(), 0);
  double worst = 0;
  for (std::size_t slot = 0; slot < ring.size(); slot++) {
    had[index_of(ring[slot])]++;
    for (std::size_t i = 0; i < weights.size(); i++) {
      const double share = static_cast<double>(slot + 1) * weights[i] / total;
      worst = std::max(worst, std::abs(static_cast<double>(had[i]) - share));
    }
  }
  return worst;
}

TEST(SmoothRing, TwoEqualMembersAlternate) {
  EXPECT_EQ(letters({1, 1}), "AB");
  EXPECT_EQ(letters({50, 50}), "AB");
}

TEST(SmoothRing, EqualMembersTakeTurnsInInputOrder) {
  EXPECT_EQ(letters({7, 7, 7, 7}), "ABCD");
}

TEST(SmoothRing, ThreeToOneToOneIsInterleaved) {
  EXPECT_EQ(letters({3, 1, 1}), "ABACA");
}

TEST(SmoothRing, ThreeToOneNeverHasFourInARowEvenAcrossRounds) {
  const auto round = letters({3, 1});
  EXPECT_EQ(std::count(round.begin(), round.end(), 'A'), 3);
  EXPECT_EQ((round + round).find("AAAA"), std::string::npos);
}

TEST(SmoothRing, WeightsAreReducedByTheirCommonDivisor) {
  EXPECT_EQ(letters({6, 2, 2}), letters({3, 1, 1}));
  EXPECT_EQ(letters({256}), "A");
}

TEST(SmoothRing, WeightZeroIsNotInTheRing) {
  EXPECT_EQ(letters({0, 1, 1}), "BC");
  EXPECT_EQ(letters({0, 0}), "");
  EXPECT_EQ(letters({}), "");
}

TEST(SmoothRing, EqualInputGivesAnEqualRing) {
  EXPECT_EQ(smooth_ring(shares({5, 4, 3, 2})), smooth_ring(shares({5, 4, 3, 2})));
}

TEST(SmoothRing, EveryPrefixOfRandomPoolsIsWithinOneSlotOfTheExactShare) {
  std::mt19937 random(20180625);
  for (int round = 0; round < 500; round++) {
    std::vector<std::uint32_t> weights(2 + random() % 12);
    for (auto& weight : weights) weight = 1 + random() % 40;
    const auto ring = smooth_ring(shares(weights));
    const double bound = 1.0 - 1.0 / (2.0 * static_cast<double>(weights.size()) - 2.0);
    ASSERT_LE(worst_deviation(ring, weights), bound + 1e-9) << testing::PrintToString(weights);

    std::uint32_t divisor = 0;
    for (const auto weight : weights) divisor = std::gcd(divisor, weight);
    for (std::size_t i = 0; i < weights.size(); i++) {
      ASSERT_EQ(counts(ring, weights.size())[i], weights[i] / divisor);
    }
  }
}

// A window, even one that wraps around, is at most two slots off, because it is the difference of
// two prefixes that are off by less than one each.
TEST(SmoothRing, EveryCyclicWindowIsSpreadEvenly) {
  const std::vector<std::uint32_t> weights{13, 7, 5, 3, 1};
  const auto ring = smooth_ring(shares(weights));
  for (std::size_t start = 0; start < ring.size(); start++) {
    std::vector<double> had(weights.size(), 0);
    for (std::size_t length = 1; length <= ring.size(); length++) {
      had[index_of(ring[(start + length - 1) % ring.size()])]++;
      for (std::size_t i = 0; i < weights.size(); i++) {
        const double share = static_cast<double>(length) * weights[i] / 29.0;
        ASSERT_LT(std::abs(had[i] - share), 2.0);
        if (length == ring.size()) {
          ASSERT_EQ(had[i], weights[i]);
        }
      }
    }
  }
}

TEST(SmoothRing, TheLargestPoolThatFitsKeepsItsExactShares) {
  std::vector<std::uint32_t> weights(256, 256);
  weights[0] = 255;  // no common divisor: 65,535 slots
  const auto ring = smooth_ring(shares(weights));
  EXPECT_EQ(ring.size(), 65535u);
  const auto had = counts(ring, weights.size());
  for (std::size_t i = 0; i < weights.size(); i++) ASSERT_EQ(had[i], weights[i]);
}

TEST(SmoothRing, WeightsThatDoNotFitAreScaledDownAndNobodyIsLost) {
  std::mt19937 random(80);
  std::vector<std::uint32_t> weights(10000);
  for (auto& weight : weights) weight = 1 + random() % 256;
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const auto ring = smooth_ring(shares(weights));
  EXPECT_LE(ring.size(), max_ring_slots);
  EXPECT_GT(ring.size(), max_ring_slots * 9 / 10);
  const auto had = counts(ring, weights.size());
  for (std::size_t i = 0; i < weights.size(); i++) {
    ASSERT_GE(had[i], 1u);
    ASSERT_LT(std::abs(static_cast<double>(had[i]) - weights[i] * max_ring_slots / total), 2.0);
  }
}

TEST(SmoothRing, ASmallLimitIsKept) {
  const auto ring = smooth_ring(shares({1000, 1, 1}), 10);
  EXPECT_LE(ring.size(), 10u);
  const auto had = counts(ring, 3);
  EXPECT_EQ(had[1], 1u);
  EXPECT_EQ(had[2], 1u);
  EXPECT_GE(had[0], 7u);
}

}  // namespace
}  // namespace sluice::balancing
