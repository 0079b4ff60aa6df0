// Changes lead from one model to the other, and are the same whether they are found at once or some
// at a time.
#include "model/changes.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/uuid.hpp"

namespace sluice::model {
namespace {

// Objects of every kind that come, go and are renamed at random.
class Changing {
 public:
  explicit Changing(unsigned seed) : random_(seed) {}

  void change(Model& model) {
    for_each_kind(model, [&](auto& table) { change_table(table); });
    if (random_() % 4 == 0) model.quotas[std::to_string(random_() % 3)] = {};
    if (random_() % 4 == 0) model.drained_nodes[std::to_string(random_() % 3)] = {};
  }

 private:
  template <typename T>
  void change_table(Table<T>& table) {
    for (unsigned count = random_() % 30; count > 0; --count) {
      T object;
      object.id.data[0] = static_cast<std::uint8_t>(random_() % 40);
      object.name = std::to_string(random_() % 3);
      if (random_() % 3 == 0) {
        table.erase(object.id);
      } else {
        table.put(object);
      }
    }
  }

  std::mt19937 random_;
};

std::size_t count(const Changes& changes) {
  std::size_t all = 0;
  for_each_kind(changes,
                [&](const auto& of_kind) { all += of_kind.put.size() + of_kind.removed.size(); });
  return all;
}

TEST(Changes, LeadFromOneModelToTheOther) {
  Changing changing(17);
  Model before, after;
  for (int i = 0; i < 200; ++i) {
    changing.change(after);
    auto applied = before;
    const auto changes = changes_between(before, after);
    apply(applied, changes);
    ASSERT_EQ(applied, after);
    EXPECT_EQ(changes.empty(), before == after);
    EXPECT_TRUE(changes_between(after, applied).empty());
    if (i % 3 == 0) before = after;
  }
}

TEST(Changes, AreTheSameWhenTheyAreFoundSomeAtATime) {
  constexpr std::size_t most = 5;
  Changing changing(23);
  Model before, after;
  for (int i = 0; i < 200; ++i) {
    changing.change(after);
    const auto whole = changes_between(before, after);
    ChangeFinder finder(before, after);
    std::size_t steps = 1;
    while (!finder.step(most)) ++steps;
    EXPECT_EQ(finder.take(), whole);
    EXPECT_GE(steps * kind_count * most, count(whole)) << "none finds more than its part";
    before = after;
  }
}

}  // namespace
}  // namespace sluice::model
