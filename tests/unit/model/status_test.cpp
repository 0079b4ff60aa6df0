#include "model/status.hpp"

#include <gtest/gtest.h>

namespace sluice::model {

void PrintTo(OperatingStatus status, std::ostream* out) {
  *out << static_cast<int>(status);
}

namespace {

// One load balancer with a listener, its default pool and two members; everything ACTIVE.
class Status : public testing::Test {
 protected:
  Status() {
    put(model.load_balancers, lb_id)->vip_address = boost::asio::ip::make_address("10.0.0.16");
    put(model.listeners, listener_id)->load_balancer_id = lb_id;
    model.listeners.change(listener_id)->default_pool_id = pool_id;
    put(model.pools, pool_id)->load_balancer_id = lb_id;
    put(model.members, a_id)->pool_id = pool_id;
    put(model.members, b_id)->pool_id = pool_id;
  }

  template <typename T>
  typename Table<T>::Change put(Table<T>& objects, const Uuid& id) {
    T object;
    object.id = id;
    object.provisioning_status = ProvisioningStatus::active;
    objects.put(object);
    return objects.change(id);
  }

  void monitor(bool admin_state_up = true) {
    auto object = put(model.health_monitors, monitor_id);
    object->pool_id = pool_id;
    object->admin_state_up = admin_state_up;
  }
  OperatingStatus of_monitor() { return operating_status(model.health_monitors.at(monitor_id)); }

  OperatingStatus lb() { return operating_status(model, health, model.load_balancers.at(lb_id)); }
  OperatingStatus listener() {
    return operating_status(model, health, model.listeners.at(listener_id));
  }
  OperatingStatus pool() { return operating_status(model, health, model.pools.at(pool_id)); }
  OperatingStatus a() { return operating_status(model, health, model.members.at(a_id)); }

  bool has_usable_member() {
    return model::has_usable_member(Relations(model), model.load_balancers.at(lb_id),
                                    [&](const Uuid& member) {
                                      const auto* known = health.lookup(member);
                                      return known && *known == Health::down;
                                    });
  }

  Uuid lb_id = new_uuid(), listener_id = new_uuid(), pool_id = new_uuid(), monitor_id = new_uuid();
  Uuid a_id = new_uuid(), b_id = new_uuid();
  Model model;
  HealthTable health;
};

TEST_F(Status, AListenerAtItsConnectionLimitIsDegradedAndSoIsItsLoadBalancer) {
  const auto& object = model.listeners.at(listener_id);
  EXPECT_EQ(operating_status(model, health, object, FullListeners{listener_id}),
            OperatingStatus::degraded);
  EXPECT_EQ(operating_status(model, health, object, FullListeners{new_uuid()}),
            OperatingStatus::online);
  const auto& owner = model.load_balancers.at(lb_id);
  EXPECT_EQ(operating_status(model, health, owner, FullListeners{listener_id}),
            OperatingStatus::degraded);
  model.listeners.change(listener_id)->admin_state_up = false;
  EXPECT_EQ(operating_status(model, health, owner, FullListeners{listener_id}),
            OperatingStatus::online);
}

TEST_F(Status, MemberWithoutMonitorIsNoMonitor) {
  EXPECT_EQ(a(), OperatingStatus::no_monitor);
}

TEST_F(Status, MemberWithMonitorIsOfflineUntilTheFirstResult) {
  monitor();
  EXPECT_EQ(a(), OperatingStatus::offline);
  health[a_id] = Health::up;
  EXPECT_EQ(a(), OperatingStatus::online);
  health[a_id] = Health::down;
  EXPECT_EQ(a(), OperatingStatus::error);
}

TEST_F(Status, MemberThatIsDisabledIsOfflineWhateverProbingSaid) {
  monitor();
  health[a_id] = Health::up;
  model.members.change(a_id)->admin_state_up = false;
  EXPECT_EQ(a(), OperatingStatus::offline);
}

TEST_F(Status, MemberOfWeightZeroIsDrainingUnlessItIsDown) {
  model.members.change(a_id)->weight = 0;
  EXPECT_EQ(a(), OperatingStatus::draining);
  monitor();
  health[a_id] = Health::up;
  EXPECT_EQ(a(), OperatingStatus::draining);
  health[a_id] = Health::down;
  EXPECT_EQ(a(), OperatingStatus::error);
}

TEST_F(Status, MemberUnderADisabledMonitorIsNoMonitor) {
  monitor(false);
  health[a_id] = Health::down;
  EXPECT_EQ(a(), OperatingStatus::no_monitor);
}

TEST_F(Status, PoolIsOnlineWhileNobodyIsDown) {
  EXPECT_EQ(pool(), OperatingStatus::online);
}

TEST_F(Status, PoolWithoutMembersIsOnline) {
  model.members.clear();
  EXPECT_EQ(pool(), OperatingStatus::online);
}

TEST_F(Status, PoolWithSomeMembersDownIsDegradedAndWithAllDownError) {
  monitor();
  health[a_id] = Health::down;
  EXPECT_EQ(pool(), OperatingStatus::degraded);
  EXPECT_EQ(lb(), OperatingStatus::degraded);
  health[b_id] = Health::down;
  EXPECT_EQ(pool(), OperatingStatus::error);
  EXPECT_EQ(lb(), OperatingStatus::error);
  EXPECT_EQ(listener(), OperatingStatus::online) << "a pool in ERROR does not change the listener";
}

TEST_F(Status, PoolWhoseMembersAreAllDrainedOrDisabledIsError) {
  model.members.change(a_id)->weight = 0;
  model.members.change(b_id)->admin_state_up = false;
  EXPECT_EQ(pool(), OperatingStatus::error);
}

TEST_F(Status, PoolWithADisabledMemberIsNotDegraded) {
  model.members.change(b_id)->admin_state_up = false;
  EXPECT_EQ(pool(), OperatingStatus::online);
}

TEST_F(Status, PoolThatIsDisabledOrAttachedToNothingIsOffline) {
  model.pools.change(pool_id)->admin_state_up = false;
  EXPECT_EQ(pool(), OperatingStatus::offline);
  model.pools.change(pool_id)->admin_state_up = true;
  model.listeners.change(listener_id)->default_pool_id.reset();
  EXPECT_EQ(pool(), OperatingStatus::offline);
  EXPECT_EQ(lb(), OperatingStatus::online);
}

TEST_F(Status, ListenerIsOfflineWhenItOrItsLoadBalancerIsDisabled) {
  EXPECT_EQ(listener(), OperatingStatus::online);
  model.listeners.change(listener_id)->admin_state_up = false;
  EXPECT_EQ(listener(), OperatingStatus::offline);
  model.listeners.change(listener_id)->admin_state_up = true;
  model.load_balancers.change(lb_id)->admin_state_up = false;
  EXPECT_EQ(listener(), OperatingStatus::offline);
  EXPECT_EQ(lb(), OperatingStatus::offline);
}

TEST_F(Status, ListenerThatTheDataPlaneRefusedIsError) {
  model.listeners.change(listener_id)->provisioning_status = ProvisioningStatus::error;
  EXPECT_EQ(listener(), OperatingStatus::error);
}

TEST_F(Status, MonitorIsOnlineWhenEnabledWhateverItsProbesFound) {
  health[a_id] = Health::down;
  monitor();
  EXPECT_EQ(of_monitor(), OperatingStatus::online);
  monitor(false);
  EXPECT_EQ(of_monitor(), OperatingStatus::offline);
}

TEST_F(Status, WhatIsBeingCreatedIsOfflineAndItsMembersTellTheMonitor) {
  constexpr auto created = ProvisioningStatus::pending_create;
  model.load_balancers.change(lb_id)->provisioning_status = created;
  model.listeners.change(listener_id)->provisioning_status = created;
  model.pools.change(pool_id)->provisioning_status = created;
  model.members.change(a_id)->provisioning_status = created;
  model.members.change(a_id)->weight = 0;
  EXPECT_EQ(lb(), OperatingStatus::offline);
  EXPECT_EQ(listener(), OperatingStatus::offline);
  EXPECT_EQ(pool(), OperatingStatus::offline);
  EXPECT_EQ(a(), OperatingStatus::no_monitor);
  monitor();
  EXPECT_EQ(a(), OperatingStatus::offline);
}

TEST_F(Status, OnlyAnEnabledMemberOfAnEnabledPoolWithAnEnabledMonitorIsProbed) {
  const auto is_probed = [&] { return probed(model, model.members.at(a_id)); };
  EXPECT_FALSE(is_probed());
  monitor();
  EXPECT_TRUE(is_probed());
  const auto off_and_on = [&](auto& table, const Uuid& id) {
    table.change(id)->admin_state_up = false;
    EXPECT_FALSE(is_probed());
    table.change(id)->admin_state_up = true;
    EXPECT_TRUE(is_probed());
  };
  off_and_on(model.pools, pool_id);
  off_and_on(model.members, a_id);
  off_and_on(model.health_monitors, monitor_id);
}

TEST_F(Status, MembersOfAPoolComeInOrderOfCreation) {
  model.members.change(a_id)->created_at += std::chrono::microseconds(2);
  model.members.change(b_id)->created_at += std::chrono::microseconds(1);
  const auto members = members_of(model, pool_id);
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0]->id, b_id);
  EXPECT_EQ(members[1]->id, a_id);
}

TEST_F(Status, ALoadBalancerHasAUsableMemberWhenANewConnectionFindsOne) {
  monitor();
  EXPECT_TRUE(has_usable_member()) << "nobody was probed yet";
  health[a_id] = Health::down;
  EXPECT_TRUE(has_usable_member());
  health[b_id] = Health::down;
  EXPECT_FALSE(has_usable_member());
  health[b_id] = Health::up;
  model.members.change(b_id)->weight = 0;
  EXPECT_FALSE(has_usable_member());
  model.members.change(b_id)->weight = 1;
  model.members.change(b_id)->admin_state_up = false;
  EXPECT_FALSE(has_usable_member());
  model.members.change(b_id)->admin_state_up = true;
  EXPECT_TRUE(has_usable_member());
  model.pools.change(pool_id)->admin_state_up = false;
  EXPECT_FALSE(has_usable_member());
  model.pools.change(pool_id)->admin_state_up = true;
  model.listeners.change(listener_id)->default_pool_id.reset();
  EXPECT_FALSE(has_usable_member());
}

}  // namespace
}  // namespace sluice::model
