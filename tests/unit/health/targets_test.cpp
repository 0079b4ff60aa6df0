// One pool with one monitor and two members; each test changes one thing.
#include <gmock/gmock.h>

#include <random>
#include <tuple>

#include "health/monitor.hpp"

namespace sluice::health {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class Targets : public testing::Test {
 protected:
  Targets() {
    balancer.id = new_uuid();
    balancer.vip_address = parse_ip_address("10.0.0.16").value();
    pool.id = new_uuid();
    pool.load_balancer_id = balancer.id;
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

  model::Model model() const {
    model::Model model;
    model.load_balancers.put(balancer);
    model.pools.put(pool);
    if (with_monitor) model.health_monitors.put(monitor);
    model.members.put(web1);
    model.members.put(web2);
    return model;
  }
  std::vector<Target> wanted() const { return targets(model(), health); }
  Target target_of(const model::Member& member) const {
    for (auto& target : wanted()) {
      if (target.member == member.id) return target;
    }
    ADD_FAILURE() << "the member is not probed";
    return {};
  }

  model::LoadBalancer balancer;
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

TEST_F(Targets, ProbesAskForTheVipOfTheMembersVersionIfTheyAreTold) {
  pool.forwarding_mode = model::ForwardingMode::ipip;
  EXPECT_FALSE(target_of(web1).way);
  monitor.probe_vip = true;
  EXPECT_EQ(target_of(web1).way, (VipWay{balancer.vip_address, model::ForwardingMode::ipip}));
  EXPECT_EQ(target_of(web1).address, web1.address) << "which finds the way";
  web1.address = parse_ip_address("2001:db8::4").value();
  EXPECT_FALSE(target_of(web1).way) << "no client reaches it by a VIP of that version";
  const auto before = model();
  const auto vip6 = parse_ip_address("2001:db8::16").value();
  balancer.additional_vips = {{vip6, std::nullopt}};
  EXPECT_EQ(target_of(web1).way, (VipWay{vip6, model::ForwardingMode::ipip}));
  EXPECT_THAT(target_change(before, model(), health).members, SizeIs(2)) << "the VIPs are others";
  web2.monitor_address = parse_ip_address("192.168.7.5").value();
  EXPECT_FALSE(target_of(web2).way) << "the operator says whom to ask";
}

TEST_F(Targets, AnotherModeIsAnotherWay) {
  pool.forwarding_mode = model::ForwardingMode::ipip;
  monitor.probe_vip = true;
  const auto before = model();
  pool.forwarding_mode = model::ForwardingMode::gue;
  const auto change = target_change(before, model(), health);
  ASSERT_THAT(change.targets, SizeIs(2));
  EXPECT_EQ(change.targets.front().way->mode, model::ForwardingMode::gue);
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

TEST_F(Targets, AChangeThatProbingDoesNotDependOnChangesNoTarget) {
  const auto before = model();
  web1.weight = 7;
  web1.name = "renamed";
  web1.provisioning_status = model::ProvisioningStatus::active;
  monitor.name = "renamed";
  pool.name = "renamed";
  EXPECT_THAT(target_change(before, model(), health).members, IsEmpty());
}

TEST_F(Targets, AChangeNamesAllMembersOfItsPoolAndWhatIsProbedNow) {
  const auto before = model();
  web1.admin_state_up = false;
  auto change = target_change(before, model(), health);
  EXPECT_THAT(change.members, testing::UnorderedElementsAre(web1.id, web2.id));
  ASSERT_THAT(change.targets, SizeIs(1));
  EXPECT_EQ(change.targets.front().member, web2.id);

  monitor.delay_seconds = 9;
  change = target_change(before, model(), health);
  ASSERT_THAT(change.targets, SizeIs(1));
  EXPECT_EQ(change.targets.front().settings->delay_seconds, 9U);

  with_monitor = false;
  change = target_change(before, model(), health);
  EXPECT_THAT(change.members, SizeIs(2));
  EXPECT_THAT(change.targets, IsEmpty());
  EXPECT_THAT(target_change(before, {}, health).members, SizeIs(2)) << "all is deleted";
  EXPECT_THAT(target_change({}, before, health).targets, SizeIs(2));
}

// What the changes add up to is what the model wants, whatever happened on the way.
TEST_F(Targets, ChangesLeadWhereTheWholeModelLeads) {
  const auto essence = [](const Target& target) {
    return std::tuple(target.address, target.port, target.settings->delay_seconds);
  };
  std::mt19937 random(17);
  std::map<Uuid, std::tuple<IpAddress, std::uint16_t, std::uint32_t>> followed;
  model::Model before;
  for (int step = 0; step < 500; ++step) {
    auto* member = random() % 2 == 0 ? &web1 : &web2;
    switch (random() % 6) {
      case 0:
        member->admin_state_up = !member->admin_state_up;
        break;
      case 1:
        member->monitor_port = static_cast<std::uint16_t>(random() % 3);
        break;
      case 2:
        pool.admin_state_up = !pool.admin_state_up;
        break;
      case 3:
        monitor.admin_state_up = !monitor.admin_state_up;
        break;
      case 4:
        monitor.delay_seconds = static_cast<std::uint32_t>(1 + random() % 3);
        break;
      default:
        with_monitor = !with_monitor;
    }
    auto after = model();
    if (random() % 4 == 0) after.members.erase(member->id);
    const auto change = target_change(before, after, health);
    for (const auto& id : change.members) followed.erase(id);
    for (const auto& target : change.targets) followed[target.member] = essence(target);
    decltype(followed) whole;
    for (const auto& target : targets(after, health)) whole[target.member] = essence(target);
    ASSERT_EQ(followed, whole) << "step " << step;
    before = after;
  }
}

}  // namespace
}  // namespace sluice::health
