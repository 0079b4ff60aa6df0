// The desired state that is kept in step with a model is the one that the whole model gives, and a
// change asks only what it touches.
#include "control/desired.hpp"

#include <gtest/gtest.h>

#include <random>

#include "control/apply.hpp"
#include "model/changes.hpp"
#include "tests/support/fake_data_plane.hpp"
#include "tests/unit/control/walkthrough.hpp"

namespace sluice::control {
namespace {

using model::Health;
using test::ip;

// A configuration that changes at random: objects come, go, and are other ones afterwards. Ids and
// VIPs are few, so that what goes comes back.
class Changing {
 public:
  explicit Changing(unsigned seed) : random_(seed) {}

  void change() {
    switch (random_() % 11) {
      case 0:
        return change_load_balancer(number(4));
      case 1:
        return change_floating_ip(number(3));
      case 2:
        return change_pool(number(8));
      case 3:
        return change_listener(number(12));
      case 4:
        return toggle(suspects);
      case 5:
        return toggle(overdue);
      case 6:
        health[id(member, number(24))] = number(2) == 0 ? Health::up : Health::down;
        return;
      case 7:
        standby = chance(50);
        return;
      case 8:
        starting[id(member, number(24))] = 1 + number(full_share);
        if (chance(50)) starting.erase(starting.begin());
        reduced[id(member, number(24))] = number(100);
        if (chance(50)) reduced.erase(reduced.begin());
        return;
      case 9:
        return change_node_snat();
      default:
        return change_member(number(24));
    }
  }

  // Changes anything but the model.
  void change_knowledge() {
    const auto before = model;
    change();
    model = before;
  }

  Knowledge known() const {
    return {health, suspects, overdue, starting, standby, reduced, node_snat};
  }
  DataPlaneState whole() const {
    return desired_state(model, health, suspects, overdue, standby, starting, reduced, node_snat);
  }

  model::Model model;
  model::HealthTable health;
  Suspects suspects;
  Overdue overdue;
  Starting starting;
  Reduced reduced;
  bool standby = false;
  NodeSnat node_snat;

 private:
  enum Kind : std::uint8_t { load_balancer = 1, floating_ip, pool, listener, member };

  // Some of the addresses are also VIPs of load balancers.
  void change_node_snat() {
    const auto address = ip(("10.0.0." + std::to_string(1 + number(6))).c_str());
    auto& of_node = node_snat.addresses[address];
    of_node = {"lb1", static_cast<SnatRole>(number(4))};
    if (chance(30)) node_snat.addresses.erase(address);
    node_snat.own.clear();
    if (chance(50)) node_snat.own.push_back(address);
    if (chance(50)) node_snat.own.push_back(ip("2001:db8::31"));
  }
  unsigned number(unsigned below) { return random_() % below; }
  bool chance(unsigned percent) { return number(100) < percent; }
  static Uuid id(Kind kind, unsigned number) {
    Uuid id{};
    id.data[0] = kind;
    id.data[1] = static_cast<std::uint8_t>(number);
    return id;
  }
  template <typename T>
  T made(Kind kind, unsigned number) {
    T object;
    object.id = id(kind, number);
    object.admin_state_up = chance(80);
    object.name = std::to_string(random_() % 3);
    return object;
  }
  void toggle(std::set<Uuid>& members) {
    const auto one = id(member, number(24));
    if (members.erase(one) == 0) members.insert(one);
  }

  // As the edits do it: what is below goes along, and VIPs are never changed.
  void change_load_balancer(unsigned which) {
    const auto old = id(load_balancer, which);
    if (model.load_balancers.contains(old) && chance(30)) {
      const auto floating_ips = model.floating_ips;
      for (const auto& [id, object] : floating_ips) {
        if (object.load_balancer_id == old) model.floating_ips.change(id)->load_balancer_id.reset();
      }
      erase_if(model.listeners,
               [&](const auto& one) { return one.second.load_balancer_id == old; });
      const auto pools = model.pools;
      for (const auto& [id, object] : pools) {
        if (object.load_balancer_id == old) erase_pool(id);
      }
      model.load_balancers.erase(old);
      return;
    }
    auto object = made<model::LoadBalancer>(load_balancer, which);
    object.vip_address = ip(("10.0.0." + std::to_string(1 + which)).c_str());
    if (which % 2 == 0) {
      object.additional_vips = {{ip(("2001:db8::" + std::to_string(1 + which)).c_str()), {}}};
    }
    if (chance(30)) object.on_unmatched = model::RefusalMode::reset;
    for (const char* prefix : {"10.0.1.", "10.0.2."}) {
      if (chance(30)) object.snat_addresses.push_back(ip((prefix + std::to_string(which)).c_str()));
    }
    model.load_balancers.put(object);
  }
  void change_floating_ip(unsigned which) {
    auto object = made<model::FloatingIp>(floating_ip, which);
    object.address = ip(("192.0.2." + std::to_string(1 + which)).c_str());
    const auto owner = id(load_balancer, number(4));
    if (model.load_balancers.contains(owner)) object.load_balancer_id = owner;
    if (chance(20)) {
      model.floating_ips.erase(object.id);
    } else {
      model.floating_ips.put(object);
    }
  }
  void erase_pool(const Uuid& gone) {
    const auto listeners = model.listeners;
    for (const auto& [id, object] : listeners) {
      if (object.default_pool_id == gone) model.listeners.change(id)->default_pool_id.reset();
    }
    erase_if(model.members, [&](const auto& one) { return one.second.pool_id == gone; });
    model.pools.erase(gone);
  }
  void change_pool(unsigned which) {
    auto object = made<model::Pool>(pool, which);
    object.load_balancer_id = id(load_balancer, which % 4);
    if (!model.load_balancers.contains(object.load_balancer_id)) return;
    if (chance(20)) return erase_pool(object.id);
    constexpr std::array algorithms = {model::Algorithm::round_robin,
                                       model::Algorithm::least_connections};
    object.lb_algorithm = algorithms[number(2)];
    if (chance(30)) object.on_member_down = model::MemberDownMode::keep;
    object.mixed_versions = chance(30);
    model.pools.put(object);
  }
  void change_listener(unsigned which) {
    auto object = made<model::Listener>(listener, which);
    object.load_balancer_id = id(load_balancer, which % 4);
    object.protocol_port = static_cast<std::uint16_t>(80 + which);
    if (!model.load_balancers.contains(object.load_balancer_id)) return;
    const auto own = id(pool, which % 4 + 4 * number(2));
    if (model.pools.contains(own)) object.default_pool_id = own;
    if (chance(20)) {
      model.listeners.erase(object.id);
    } else {
      model.listeners.put(object);
    }
  }
  void change_member(unsigned which) {
    auto object = made<model::Member>(member, which);
    object.pool_id = id(pool, which % 8);
    object.address = ip(which % 3 == 0 ? "2001:db8:1::1" : "10.1.0.1");
    object.protocol_port = static_cast<std::uint16_t>(1000 + which);
    object.weight = static_cast<std::uint16_t>(number(4));
    object.backup = chance(20);
    if (!model.pools.contains(object.pool_id)) return;
    if (chance(20)) {
      model.members.erase(object.id);
      health.erase(object.id);
    } else {
      model.members.put(object);
    }
  }

  std::mt19937 random_;
};

TEST(DesiredProperty, StaysWhatTheWholeModelGivesAndTellsAllThatChanged) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    Changing changing(seed);
    Desired desired;
    DataPlaneState before;
    for (int step = 0; step < 60; ++step) {
      for (unsigned i = 0; i <= seed % 4; ++i) changing.change();
      const auto changed = desired.follow(changing.model, changing.known());
      const auto whole = changing.whole();
      ASSERT_EQ(desired.state(), whole) << "seed " << seed << ", step " << step;
      ASSERT_EQ(diff(part_of(whole, changed), part_of(before, changed)), diff(whole, before))
          << "seed " << seed << ", step " << step;
      before = whole;
    }
  }
}

// In between steps what is known changes, too, and is followed at once.
TEST(DesiredProperty, ComesToTheSameInSteps) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    Changing changing(seed);
    Desired desired;
    DataPlaneState before;
    for (int step = 0; step < 60; ++step) {
      for (unsigned i = 0; i <= 2 * (seed % 8); ++i) changing.change();
      desired.note(changing.model, changing.known());
      Difference difference;
      const auto add = [&](const EntryKeys& changed) {
        difference.add(part_of(desired.state(), changed), part_of(before, changed));
      };
      for (unsigned at = 0; !desired.is_done(); ++at) {
        add(desired.step(changing.known(), 1));
        if (at % 2 == seed % 2) {
          changing.change_knowledge();
          add(desired.follow_news(changing.model, changing.known()));
        }
      }
      const auto whole = changing.whole();
      ASSERT_EQ(desired.state(), whole) << "seed " << seed << ", step " << step;
      // An operation that one step has found may be obsolete after another one.
      sluice::test::FakeDataPlane data_plane;
      data_plane.state = before;
      auto reached = before;
      Application application;
      application.plan(difference.take());
      application.others_came();
      while (!application.is_done()) application.step(data_plane, reached, whole);
      std::erase_if(reached.vips, [](const auto& vip) { return vip.second.leaving; });
      ASSERT_EQ(reached, whole) << "seed " << seed << ", step " << step;
      before = whole;
    }
  }
}

// A hundred load balancers with a listener each, beside the walkthrough's.
model::Model with_many() {
  model::Model model;
  test::Walkthrough walkthrough;
  walkthrough.build(model);
  for (unsigned more = 0; more < 100; ++more) {
    model::LoadBalancer other;
    other.vip_address = boost::asio::ip::address_v4(0x0a010000U + more);
    walkthrough.lb = model::add(model, other, walkthrough.now).value();
    walkthrough.add_listener(model, 80);
  }
  return model;
}

TEST(TouchedSources, AStepFindsAFewObjectsHoweverManyChanged) {
  constexpr std::size_t most = 10;
  const auto model = with_many();
  TouchedSources finding({}, model, {});
  Sources found;
  for (bool done = false; !done;) {
    const auto before = found;
    done = finding.step(found, most);
    EXPECT_LE(found.load_balancers.size(), before.load_balancers.size() + most);
    EXPECT_LE(found.listeners.size(), before.listeners.size() + most);
  }
  EXPECT_EQ(found.load_balancers.size(), 101U);
  EXPECT_EQ(found.listeners.size(), 101U);
  EXPECT_EQ(found.pools.size(), 1U);
}

// Each change is followed by one of the status, of all objects that it touched.
TEST(TouchedSources, AnotherStatusOrNameTouchesNothing) {
  const auto before = with_many();
  auto after = before;
  model::for_each_kind(after, [](auto& table) {
    const auto objects = table;
    for (const auto& [id, object] : objects) {
      const auto change = table.change(id);
      change->provisioning_status = model::ProvisioningStatus::error;
      change->provisioning_error = "full";
      change->name = "renamed";
      change->updated_at = model::Timestamp{};
    }
  });
  TouchedSources finding(before, after, {});
  Sources found;
  while (!finding.step(found, 10)) continue;
  EXPECT_TRUE(found.load_balancers.empty() && found.listeners.empty() && found.pools.empty());
}

TEST(Desired, AStepLooksAtAFewObjectsHoweverManyChanged) {
  const auto model = with_many();
  Desired desired;
  const model::HealthTable health;
  const Knowledge known{health, {}, {}, {}};
  desired.note(model, known);
  EXPECT_TRUE(desired.state().vips.empty());
  int steps = 0;
  for (; !desired.is_done(); ++steps) {
    const auto changed = desired.step(known, 10);
    EXPECT_LE(changed.vips.size(), 10U);
    EXPECT_LE(changed.listeners.size(), 2 * 10U);
  }
  EXPECT_GE(steps, 10);
  EXPECT_EQ(desired.state().vips.size(), 101U);
}

TEST(Desired, AMemberOfOneLoadBalancerAmongManyTouchesOnlyItsOwn) {
  model::Model model;
  test::Walkthrough walkthrough;
  walkthrough.build(model);
  const auto member = walkthrough.a;
  for (int more = 0; more < 100; ++more) {
    model::LoadBalancer other;
    other.vip_address = boost::asio::ip::address_v4(0x0a010000U + static_cast<unsigned>(more));
    walkthrough.lb = model::add(model, other, walkthrough.now).value();
    const auto listener = walkthrough.add_listener(model, 80);
    walkthrough.pool = model::add(model, model::Pool{}, listener, walkthrough.now).value();
    walkthrough.add_member(model, "10.0.0.4");
  }
  Desired desired;
  const model::HealthTable health;
  EXPECT_EQ(desired.follow(model, {health, {}, {}, {}}).vips.size(), 101U);
  model.members.change(member)->weight = 7;
  const auto changed = desired.follow(model, {health, {}, {}, {}});
  EXPECT_TRUE(changed.vips.empty());
  EXPECT_TRUE(changed.listeners.empty());
  EXPECT_EQ(changed.pools.size(), 2U) << "of either IP version";
  EXPECT_EQ(changed.members.size(), 2U);
  EXPECT_EQ(desired.follow(model, {health, {}, {}, {}}).members.size(), 0U);
}

}  // namespace
}  // namespace sluice::control
