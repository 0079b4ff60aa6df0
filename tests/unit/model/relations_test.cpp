// Relations: the answers are the same for few objects and for many.
#include "model/relations.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::model {
namespace {

template <typename T>
std::vector<Uuid> ids(const std::vector<const T*>& objects) {
  std::vector<Uuid> result;
  for (const auto* object : objects) result.push_back(object->id);
  return result;
}

class RelationsTest : public testing::Test {
 protected:
  template <typename T>
  T& add(std::map<Uuid, T>& table, int second) {
    T object;
    object.id = new_uuid();
    object.created_at = Timestamp(std::chrono::seconds(second));
    return table.emplace(object.id, object).first->second;
  }
  Model model;
};

TEST_F(RelationsTest, ChildrenComeOldestFirstHoweverManyAreAskedAbout) {
  const auto lb = add(model.load_balancers, 0).id, other = add(model.load_balancers, 0).id;
  auto& pool = add(model.pools, 0);
  pool.load_balancer_id = lb;
  for (const int second : {9, 3, 5, 1}) {
    add(model.members, second).pool_id = pool.id;
    auto& listener = add(model.listeners, second);
    listener.load_balancer_id = lb;
    if (second > 3) listener.default_pool_id = pool.id;
  }
  add(model.listeners, 2).load_balancer_id = other;
  add(model.health_monitors, 0).pool_id = pool.id;

  const Relations few(model), many(model, Relations::many);
  for (const auto* relations : {&few, &many}) {
    EXPECT_EQ(relations->pools_of(lb), std::vector<const Pool*>{&pool});
    const auto own = relations->members_of(pool.id);
    ASSERT_EQ(own.size(), 4U);
    EXPECT_TRUE(std::ranges::is_sorted(own, {}, [](const auto* one) { return one->created_at; }));
    EXPECT_EQ(relations->listeners_of(lb).size(), 4U);
    EXPECT_EQ(relations->listeners_of(other).size(), 1U);
    EXPECT_EQ(relations->listeners_with(pool.id).size(), 2U);
    EXPECT_NE(relations->monitor_of(pool.id), nullptr);
    EXPECT_EQ(relations->monitor_of(lb), nullptr);
    EXPECT_TRUE(relations->members_of(new_uuid()).empty());
  }
  EXPECT_EQ(ids(few.members_of(pool.id)), ids(many.members_of(pool.id)));
}

}  // namespace
}  // namespace sluice::model
