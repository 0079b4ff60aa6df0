// One pool with one monitor and two members; each test changes one thing.
#include <gmock/gmock.h>

#include "health/monitor.hpp"

namespace sluice::health {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class Targets : public testing::Test {
 protected:
  Targets() {
    pool.id = new_uuid();
    monitor.id = new_uuid();
    monitor.pool_id = pool.id;
    monitor.delay_seconds = 5;
    for (auto* member : {&web1, &web2}) {
      member->id = new_uuid();
      member->pool_id = pool.id;
      member->protocol_port = 80;
    }
    web1.address = parse_ip_address("10.0.0.4").value();
    web2.address = parse_ip_address("10.0.0.5").value();
  }

  std::vector<Target> wanted() const {
    model::Model model;
    model.pools[pool.id] = pool;
    if (with_monitor) model.health_monitors[monitor.id] = monitor;
    model.members[web1.id] = web1;
    model.members[web2.id] = web2;
    return targets(model, health);
  }
  Target target_of(const model::Member& member) const {
    for (auto& target : wanted()) {
      if (target.member == member.id) return target;
    }
    ADD_FAILURE() << "the member is not probed";
    return {};
  }

  model::Pool pool;
  model::HealthMonitor monitor;
  model::Member web1, web2;
  model::HealthTable health;
  bool with_monitor = true;
};

TEST_F(Targets, EveryMemberOfAMonitoredPoolIsProbedAtItsOwnAddressAndPort) {
  EXPECT_THAT(wanted(), SizeIs(2));
  EXPECT_EQ(target_of(web1).address, web1.address);
  EXPECT_EQ(target_of(web1).port, 80);
  EXPECT_EQ(*target_of(web2).settings, monitor);
}

TEST_F(Targets, MonitorAddressAndPortReplaceTheMembersOwn) {
  web1.monitor_address = parse_ip_address("192.168.7.4").value();
  web1.monitor_port = 8080;
  EXPECT_EQ(target_of(web1).address, *web1.monitor_address);
  EXPECT_EQ(target_of(web1).port, 8080);
}

TEST_F(Targets, WhatWasKnownIsCarriedOver) {
  health[web1.id] = model::Health::down;
  EXPECT_EQ(target_of(web1).known, model::Health::down);
  EXPECT_EQ(target_of(web2).known, std::nullopt);
}

TEST_F(Targets, ADisabledMemberIsNotProbed) {
  web1.admin_state_up = false;
  EXPECT_THAT(wanted(), SizeIs(1));
}

TEST_F(Targets, ADisabledPoolIsNotProbed) {
  pool.admin_state_up = false;
  EXPECT_THAT(wanted(), IsEmpty());
}

TEST_F(Targets, ADisabledMonitorProbesNobody) {
  monitor.admin_state_up = false;
  EXPECT_THAT(wanted(), IsEmpty());
}

TEST_F(Targets, WithoutAMonitorNobodyIsProbed) {
  with_monitor = false;
  EXPECT_THAT(wanted(), IsEmpty());
}

TEST_F(Targets, AMemberOfAnotherPoolIsNotProbed) {
  web2.pool_id = new_uuid();
  EXPECT_THAT(wanted(), SizeIs(1));
}

TEST_F(Targets, AMemberOfWeightZeroIsProbedTooAsItMayReturn) {
  web1.weight = 0;
  EXPECT_THAT(wanted(), SizeIs(2));
}

}  // namespace
}  // namespace sluice::health
