// Relations: the answers are the same for few objects and for many.
#include "model/relations.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::model {
namespace {

class RelationsTest : public testing::Test {
 protected:
  template <typename T>
  typename Table<T>::Change add(Table<T>& table, int second) {
    T object;
    object.id = new_uuid();
    object.created_at = Timestamp(std::chrono::seconds(second));
    table.put(object);
    return table.change(object.id);
  }
  Model model;
};

TEST_F(RelationsTest, ChildrenComeOldestFirst) {
  const auto lb = add(model.load_balancers, 0)->id, other = add(model.load_balancers, 0)->id;
  const auto pool = add(model.pools, 0)->id;
  model.pools.change(pool)->load_balancer_id = lb;
  for (const int second : {9, 3, 5, 1}) {
    add(model.members, second)->pool_id = pool;
    auto listener = add(model.listeners, second);
    listener->load_balancer_id = lb;
    if (second > 3) listener->default_pool_id = pool;
  }
  add(model.listeners, 2)->load_balancer_id = other;
  add(model.health_monitors, 0)->pool_id = pool;

  const Relations relations(model);
  EXPECT_EQ(relations.pools_of(lb), std::vector<const Pool*>{&model.pools.at(pool)});
  const auto own = relations.members_of(pool);
  ASSERT_EQ(own.size(), 4U);
  EXPECT_TRUE(std::ranges::is_sorted(own, {}, [](const auto* one) { return one->created_at; }));
  EXPECT_EQ(relations.listeners_of(lb).size(), 4U);
  EXPECT_EQ(relations.listeners_of(other).size(), 1U);
  EXPECT_EQ(relations.listeners_with(pool).size(), 2U);
  EXPECT_NE(relations.monitor_of(pool), nullptr);
  EXPECT_EQ(relations.monitor_of(lb), nullptr);
  EXPECT_TRUE(relations.members_of(new_uuid()).empty());
}

}  // namespace
}  // namespace sluice::model
