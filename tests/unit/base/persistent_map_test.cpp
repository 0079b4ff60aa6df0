// A persistent map is a std::map to whoever reads it, and its copies are values of their own.
#include "base/persistent_map.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace sluice {
namespace {

using Map = PersistentMap<int, std::string>;
using Reference = std::map<int, std::string>;

Reference contents(const Map& map) {
  Reference result;
  for (const auto& [key, value] : map) {
    EXPECT_TRUE(result.empty() || result.rbegin()->first < key) << "in order";
    result.emplace_hint(result.end(), key, value);
  }
  return result;
}

using Differences = std::map<int, std::pair<std::string, std::string>>;

Differences differences(const Map& before, const Map& after) {
  Differences found;
  Map::for_each_difference(before, after,
                           [&](int key, const std::string* old, const std::string* now) {
                             found[key] = {old ? *old : "-", now ? *now : "-"};
                             return true;
                           });
  return found;
}

Differences differences(const Reference& before, const Reference& after) {
  Differences found;
  std::set<int> keys;
  for (const auto& [key, value] : before) keys.insert(key);
  for (const auto& [key, value] : after) keys.insert(key);
  for (const int key : keys) {
    const auto old = before.contains(key) ? before.at(key) : "-";
    const auto now = after.contains(key) ? after.at(key) : "-";
    if (old != now) found[key] = {old, now};
  }
  return found;
}

// The same, so many at a time.
Differences differences_in_steps(const Map& before, const Map& after, std::size_t most) {
  Differences found;
  Map::Differences all(before, after);
  for (bool over = false; !over;) {
    std::size_t in_this_step = 0;
    over = all.step(most, [&](int key, const std::string* old, const std::string* now) {
      EXPECT_TRUE(found.empty() || found.rbegin()->first < key) << "in order";
      found[key] = {old ? *old : "-", now ? *now : "-"};
      ++in_this_step;
    });
    EXPECT_LE(in_this_step, most);
    EXPECT_TRUE(over || in_this_step == most) << "a step that isn't the last one does its part";
  }
  return found;
}

TEST(PersistentMap, AnEmptyOneHasNothing) {
  const Map map;
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(map.begin(), map.end());
  EXPECT_EQ(map.find(1), map.end());
  EXPECT_EQ(map.lookup(1), nullptr);
  EXPECT_THROW(map.at(1), std::out_of_range);
}

TEST(PersistentMap, ACopyStaysWhatItWas) {
  Map map{{1, "one"}, {2, "two"}};
  const auto before = map;
  EXPECT_TRUE(map.shares_all_with(before));
  map[1] = "changed";
  map.erase(2);
  map.insert_or_assign(3, "three");
  EXPECT_EQ(contents(before), (Reference{{1, "one"}, {2, "two"}}));
  EXPECT_EQ(contents(map), (Reference{{1, "changed"}, {3, "three"}}));
  EXPECT_FALSE(map.emplace(1, "again"));
  EXPECT_EQ(map.at(1), "changed");
}

TEST(PersistentMap, TheSameEntriesAreEqualInWhateverOrderTheyCame) {
  EXPECT_EQ((Map{{1, "a"}, {2, "b"}, {3, "c"}}), (Map{{3, "c"}, {1, "a"}, {2, "b"}}));
  EXPECT_NE((Map{{1, "a"}, {2, "b"}}), (Map{{1, "a"}, {2, "c"}}));
  EXPECT_NE((Map{{1, "a"}}), (Map{{1, "a"}, {2, "c"}}));
}

// Random changes of random copies, each beside a std::map that goes through the same.
TEST(PersistentMap, IsAStdMapThroughRandomChangesOfItsCopies) {
  std::mt19937 random(17);
  std::vector<std::pair<Map, Reference>> versions(1);
  for (int step = 0; step < 4000; ++step) {
    auto [map, reference] = versions[random() % versions.size()];
    for (int change = 0; change < 5; ++change) {
      const int key = static_cast<int>(random() % 200);
      if (random() % 3 == 0) {
        EXPECT_EQ(map.erase(key), reference.erase(key));
      } else if (random() % 2 == 0) {
        map[key] = reference[key] = std::to_string(random() % 10);
      } else {
        const auto value = std::to_string(random() % 10);
        map.insert_or_assign(key, value);
        reference[key] = value;
      }
    }
    ASSERT_EQ(map.size(), reference.size());
    const int key = static_cast<int>(random() % 200);
    EXPECT_EQ(map.contains(key), reference.contains(key));
    EXPECT_EQ(map.rank(key), std::distance(reference.begin(), reference.lower_bound(key)));
    EXPECT_EQ(map.nth(map.rank(key)), map.lower_bound(key));
    const auto from = map.lower_bound(key);
    ASSERT_EQ(from == map.end(), reference.lower_bound(key) == reference.end());
    if (from != map.end()) {
      EXPECT_EQ(from->first, reference.lower_bound(key)->first);
    }
    const auto& other = versions[random() % versions.size()];
    EXPECT_EQ(differences(other.first, map), differences(other.second, reference));
    EXPECT_EQ(differences_in_steps(other.first, map, 1 + random() % 5),
              differences(other.second, reference));
    EXPECT_EQ(map == other.first, reference == other.second);
    if (versions.size() < 30) {
      versions.emplace_back(std::move(map), std::move(reference));
    } else {
      versions[random() % versions.size()] = {std::move(map), std::move(reference)};
    }
  }
  for (const auto& [map, reference] : versions) EXPECT_EQ(contents(map), reference);
}

struct Counting {
  int key = 0;
  static inline int compared = 0;
  bool operator<(const Counting& other) const {
    ++compared;
    return key < other.key;
  }
  friend std::size_t hash_value(const Counting& one) { return boost::hash<int>()(one.key); }
};

// What a change costs is counted in comparisons of keys, which no load of the machine changes.
TEST(PersistentMap, AChangeAndFindingItCostTheLogarithm) {
  PersistentMap<Counting, int> map;
  constexpr int many = 100'000;
  for (int key = 0; key < many; ++key) map.insert_or_assign({key}, 0);
  const auto before = map;
  Counting::compared = 0;
  map.insert_or_assign({many / 2}, 1);
  map.erase({many / 3});
  int differences = 0;
  PersistentMap<Counting, int>::for_each_difference(
      before, map, [&](const Counting&, const int*, const int*) { return ++differences > 0; });
  EXPECT_EQ(differences, 2);
  EXPECT_LT(Counting::compared, 1500);
  Counting::compared = 0;
  EXPECT_EQ(map.nth(many / 4)->first.key, many / 4);
  EXPECT_EQ(Counting::compared, 0) << "places are counted, not searched for";
}

}  // namespace
}  // namespace sluice
