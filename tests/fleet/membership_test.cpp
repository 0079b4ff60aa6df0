// Nodes that tell each other how they are: drains, health by majority, counters, and nodes that go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/membership.hpp"
#include "fleet/spread.hpp"
#include "model/edit.hpp"
#include "tests/fleet/fake_etcd.hpp"
#include "tests/fleet/scheduler.hpp"
#include "tests/support/failing_store.hpp"
#include "tests/support/fake_data_plane.hpp"

namespace sluice::fleet::test {
namespace {

using model::Health;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

model::Timestamp now() {
  return std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now());
}

struct Machine {
  std::string name;
  sluice::test::FailingStore disk;
  sluice::test::FakeDataPlane data_plane;
  control::Announcing announcing;
  std::unique_ptr<FakeClient> client;
  std::unique_ptr<store::DirectWriter> copy;
  std::unique_ptr<Membership> membership;
  std::unique_ptr<control::Controller> controller;
};

class MembershipTest : public testing::Test {
 protected:
  explicit MembershipTest(std::size_t count = 3, bool spread = false) : spread_(spread) {
    for (std::size_t number = 1; number <= count; number++) {
      machines.push_back(std::make_unique<Machine>());
      machines.back()->name = "lb" + std::to_string(number);
      machines.back()->disk.contents.position.store = new_uuid();
      start(*machines.back());
    }
    wait(500);
  }
  ~MembershipTest() override {
    for (const auto& machine : machines) stop(*machine);
  }

  void start(Machine& machine) {
    machine.client = std::make_unique<FakeClient>(scheduler, etcd, weather);
    machine.copy = std::make_unique<store::DirectWriter>(machine.disk);
    machine.membership =
        std::make_unique<Membership>(*machine.client, *machine.copy, machine.disk.contents,
                                     Membership::Settings{.keys = keys,
                                                          .node = machine.name,
                                                          .instance = machine.name,
                                                          .version = "1",
                                                          .spread = spread_},
                                     [](Tone, const std::string&) {});
    machine.controller = std::move(*control::Controller::start(
        machine.disk.contents, machine.membership->writer(), machine.data_plane));
    machine.membership->start(*machine.controller, [&machine] { return machine.announcing; });
  }
  static void stop(Machine& machine) {
    machine.client.reset();
    machine.controller.reset();
    machine.membership.reset();
    machine.copy.reset();
  }

  void wait(int milliseconds) { scheduler.run_until(scheduler.now() + Time(milliseconds)); }
  Machine& machine(std::size_t number) { return *machines[number - 1]; }
  control::Fleet& fleet(std::size_t number) { return *machine(number).membership; }

  // Makes the change at the first node.
  void change(const control::Controller::Edit& edit) {
    auto& controller = *machine(1).controller;
    Result<void> outcome = fail(ErrorKind::internal, "not answered");
    controller.submit([&] { return controller.change(edit); },
                      [&](const Result<void>& done) { outcome = done; });
    wait(1000);
    ASSERT_TRUE(outcome) << outcome.error().text();
  }
  // A load balancer with a listener and a member that is probed.
  void build() {
    change([this](model::Model& model) -> Result<void> {
      model::LoadBalancer balancer;
      balancer.vip_address = boost::asio::ip::make_address("10.0.0.16");
      model::Listener of_port_80;
      of_port_80.load_balancer_id = *model::add(model, balancer, now());
      of_port_80.protocol_port = 80;
      listener = *model::add(model, of_port_80, now());
      model::Member server;
      server.pool_id = *model::add(model, model::Pool{}, listener, now());
      server.address = boost::asio::ip::make_address("10.0.0.4");
      server.protocol_port = 80;
      member = *model::add(model, server, now());
      model::HealthMonitor monitor;
      monitor.pool_id = server.pool_id;
      monitor.delay_seconds = 5;
      monitor.timeout_seconds = 2;
      const auto added = model::add(model, monitor, now());
      return added ? Result<void>() : tl::unexpected(added.error());
    });
  }
  void find(std::size_t number, Health health) {
    machine(number).controller->set_health({{member, health}});
    wait(500);
  }

  const bool spread_;
  const Keys keys;
  Scheduler scheduler{7};
  FakeEtcd etcd{scheduler};
  Weather weather;
  std::vector<std::unique_ptr<Machine>> machines;
  Uuid listener{}, member{};
};

TEST_F(MembershipTest, AMemberIsDownWhenMostNodesSaySo) {
  build();
  for (std::size_t number = 1; number <= 3; number++) find(number, Health::up);
  find(2, Health::down);
  for (std::size_t number = 1; number <= 3; number++)
    EXPECT_EQ(fleet(number).health().at(member), Health::up) << number;
  const auto opinions = fleet(1).opinions(member);
  ASSERT_EQ(opinions.size(), 3U);
  EXPECT_EQ(opinions[0].health, Health::up);
  EXPECT_EQ(opinions[1].node, "lb2");
  EXPECT_EQ(opinions[1].health, Health::down);
  find(3, Health::down);
  for (std::size_t number = 1; number <= 3; number++)
    EXPECT_EQ(fleet(number).health().at(member), Health::down) << number;
  EXPECT_EQ(machine(1).controller->health().at(member), Health::up) << "its data plane has its own";

  // Who dies has no say any more, and neither has anybody while etcd is away.
  stop(machine(3));
  wait(15'000);
  EXPECT_EQ(fleet(1).health().at(member), Health::up) << "one of two";
  find(1, Health::down);
  EXPECT_EQ(fleet(1).health().at(member), Health::down);
  find(2, Health::up);
  etcd.has_quorum = false;
  wait(10'000);
  EXPECT_EQ(fleet(1).health().at(member), Health::down);
  EXPECT_EQ(fleet(1).opinions(member).size(), 1U);
}

TEST_F(MembershipTest, ALoadBalancerIsServedElsewhereWhileAnotherNodeAnnouncesAndFindsAMember) {
  build();
  const auto& model = machine(1).controller->model();
  const auto balancer = model.load_balancers.at(model.listeners.at(listener).load_balancer_id);
  const auto announces = [&](std::size_t number, const std::string& state) {
    machine(number).announcing.state = state;
    machine(number).membership->show();
    wait(500);
  };
  const auto is_served = [&](std::size_t number) {
    return machine(number).membership->is_served_elsewhere(balancer);
  };
  for (std::size_t number = 1; number <= 3; number++) {
    find(number, Health::up);
    announces(number, "ANNOUNCING");
  }
  EXPECT_TRUE(is_served(1));
  find(2, Health::down);
  find(3, Health::down);
  EXPECT_FALSE(is_served(1)) << "it is the last one";
  EXPECT_TRUE(is_served(2));
  find(1, Health::down);
  EXPECT_FALSE(is_served(2)) << "nobody has a member, so all announce";

  find(3, Health::up);
  EXPECT_TRUE(is_served(1));
  for (const auto* state : {"JOINING", "DRAINING", "DRAINED", "WITHDRAWN", "LOCAL"}) {
    announces(3, state);
    EXPECT_FALSE(is_served(1)) << state;
  }
  announces(3, "ANNOUNCING");
  EXPECT_TRUE(is_served(1));
  etcd.has_quorum = false;
  wait(10'000);
  EXPECT_FALSE(is_served(1)) << "nobody knows";
  etcd.has_quorum = true;
  wait(15'000);
  EXPECT_TRUE(is_served(1));
  stop(machine(3));
  wait(15'000);
  EXPECT_FALSE(is_served(1));
}

TEST_F(MembershipTest, AHealthThatNobodyChangesIsNotWritten) {
  build();
  for (std::size_t number = 1; number <= 3; number++) find(number, Health::up);
  const auto revision = etcd.header().revision;
  for (int round = 0; round < 100; round++) {
    machine(1).controller->set_health({{member, Health::up}});
    wait(100);
  }
  EXPECT_EQ(etcd.header().revision, revision);
  // However often it changes, five writes a second are the most.
  for (int round = 0; round < 100; round++) {
    machine(1).controller->set_health({{member, round % 2 == 0 ? Health::down : Health::up}});
    wait(10);
  }
  wait(1000);
  EXPECT_LE(etcd.header().revision, revision + 6);
}

TEST_F(MembershipTest, CountersAreTheSumOfTheNodes) {
  build();
  machine(2).data_plane.listener_counts[listener] = {
      .bytes_in = 200, .flows_opened = 20, .flows_ended = 5};
  machine(3).data_plane.listener_counts[listener] = {.bytes_in = 3000, .flows_opened = 30};
  std::vector<control::FleetCounts> told;
  const auto ask = [&] {
    fleet(1).count({listener}, true,
                   [&](const control::FleetCounts& counts) { told.push_back(counts); });
  };
  ask();
  ask();  // shares the next question
  wait(900);
  ASSERT_EQ(told.size(), 2U);
  for (const auto& counts : told) {
    EXPECT_THAT(counts.missing, IsEmpty());
    EXPECT_EQ(counts.nodes.at("lb2").listeners.at(listener).bytes_in, 200U);
    EXPECT_EQ(counts.nodes.at("lb2").connections, 15U);
    EXPECT_EQ(counts.nodes.at("lb3").listeners.at(listener).flows_opened, 30U);
  }

  // A node that does not answer is missing; what it told before stands, so that sums don't fall.
  machine(3).client->partitioned = true;
  machine(2).data_plane.listener_counts[listener].bytes_in = 201;
  ask();
  wait(1500);
  ASSERT_EQ(told.size(), 3U);
  EXPECT_THAT(told.back().missing, ElementsAre("lb3"));
  EXPECT_EQ(told.back().nodes.at("lb2").listeners.at(listener).bytes_in, 201U);
  EXPECT_EQ(told.back().nodes.at("lb3").listeners.at(listener).bytes_in, 3000U);

  // One that is gone counts no more, and nobody is waited for without etcd.
  wait(15'000);
  ask();
  wait(900);
  EXPECT_THAT(told.back().missing, IsEmpty());
  EXPECT_FALSE(told.back().nodes.contains("lb3"));
  etcd.has_quorum = false;
  wait(10'000);
  ask();
  EXPECT_THAT(told.back().missing, ElementsAre("lb2"));
}

TEST_F(MembershipTest, ALiveNodeIsNotRemovedAndADeadOneLeavesNothing) {
  build();
  std::optional<Result<void>> removed;
  const auto remove = [&] {
    removed.reset();
    fleet(1).remove_node("lb3", [&](Result<void> done) { removed = std::move(done); });
    wait(500);
  };
  remove();
  ASSERT_TRUE(removed);
  EXPECT_THAT(removed->error().text(), HasSubstr("Node lb3 is live"));
  stop(machine(3));
  wait(15'000);
  EXPECT_THAT(fleet(2).state().gone, ElementsAre("lb3"));
  remove();
  EXPECT_TRUE(removed && *removed);
  EXPECT_THAT(fleet(2).state().gone, IsEmpty());
  for (const auto& [key, entry] : etcd.keys()) EXPECT_FALSE(key.ends_with("lb3")) << key;

  // It comes back, and is known again.
  start(machine(3));
  wait(1000);
  EXPECT_EQ(fleet(1).state().nodes.size(), 3U);
  stop(machine(3));
  wait(15'000);
  EXPECT_THAT(fleet(1).state().gone, ElementsAre("lb3"));
}

// The others' list without an attribute or a word, as a version has it that does not know them yet.
TEST_F(MembershipTest, WhatAnOlderNodeDoesNotKnowIsRefusedWithItsName) {
  build();
  const auto key = keys.features() + "lb2";
  const auto known = etcd.keys().at(key).value;
  EXPECT_EQ(known, etcd.keys().at(keys.features() + "lb1").value);
  const auto tell = [&](const std::string& list) {
    const auto expected = etcd.keys().at(key).value;
    ASSERT_TRUE(etcd.transact({.key = key,
                               .expected = expected,
                               .puts = {{key, list}},
                               .removals = {},
                               .read_otherwise = {}})
                    ->happened);
    wait(200);
  };
  const auto without = [&](const std::string& text) {
    auto list = known;
    const auto at = list.find(text);
    EXPECT_NE(at, list.npos) << text;
    return list.erase(at, text.size());
  };
  const auto& before = machine(1).controller->model();
  auto after = before;
  const auto id = (*before.load_balancers.begin()).first;
  auto balancer = before.load_balancers.at(id);
  const auto refusal = [&] {
    const auto permitted = fleet(1).permits(before, after);
    return permitted ? std::string() : permitted.error().text();
  };

  tell(without(R"("on_unmatched":["drop","reset"],)"));
  balancer.name = "another";
  after.load_balancers.put(balancer);
  EXPECT_EQ(refusal(), "") << "the attribute has its default";
  balancer.on_unmatched = model::RefusalMode::reset;
  after.load_balancers.put(balancer);
  EXPECT_THAT(refusal(),
              HasSubstr("Node lb2 has an older version, which does not know on_unmatched."));
  EXPECT_THAT(refusal(), HasSubstr("upgrade lb2"));

  tell(without(R"(,"reset")"));  // of the first attribute that has it
  const auto listener_now = before.listeners.at(listener);
  auto resets = listener_now;
  resets.on_no_member = model::RefusalMode::reset;
  after.listeners.put(resets);
  EXPECT_NE(refusal(), "");
  tell(known);
  EXPECT_EQ(refusal(), "");
}

TEST_F(MembershipTest, ANodeThatStartsLacksTheFleetsStateUntilItsMapsHoldIt) {
  build();
  const auto lacking = [this] {
    std::vector<std::string> names;
    for (const auto& one : machines) {
      if (!one->membership->lacks().empty()) names.push_back(one->name);
    }
    return names;
  };
  EXPECT_THAT(lacking(), IsEmpty());

  // All start at once, and one of them with an older state.
  machine(3).client->partitioned = true;
  change([this](model::Model& model) -> Result<void> {
    auto other = model.listeners.at(listener);
    other.name = "renamed";
    return model::replace(model, other, now());
  });
  for (const auto& one : machines) stop(*one);
  wait(15'000);
  for (const auto& one : machines) start(*one);
  EXPECT_THAT(lacking(), ElementsAre("lb1", "lb2", "lb3"));
  wait(500);
  EXPECT_THAT(lacking(), IsEmpty());

  // They start without etcd, and get it later.
  for (const auto& one : machines) stop(*one);
  etcd.has_quorum = false;
  for (const auto& one : machines) start(*one);
  wait(15'000);
  EXPECT_THAT(lacking(), ElementsAre("lb1", "lb2", "lb3"));
  etcd.has_quorum = true;
  wait(5000);
  EXPECT_THAT(lacking(), IsEmpty());
}

TEST_F(MembershipTest, WhatANodeAnnouncesIsSeenAtAll) {
  machine(2).announcing = {"DRAINING", "", 3, 1};
  machine(2).membership->show();
  wait(500);
  EXPECT_EQ(fleet(1).state().nodes[1].announcing, machine(2).announcing);
}

// Nobody changes the desired state, so nothing else shows that the watch is silent.
TEST_F(MembershipTest, AfterACutWhatOtherNodesSayComesAgain) {
  build();
  etcd.has_quorum = false;
  wait(15'000);  // longer than the leases
  etcd.has_quorum = true;
  wait(15'000);
  EXPECT_EQ(fleet(1).state().nodes.size(), 3U);
  machine(2).announcing = {"DRAINING", "", 3, 1};
  machine(2).membership->show();
  find(3, Health::down);
  ASSERT_EQ(fleet(1).state().nodes.size(), 3U);
  EXPECT_EQ(fleet(1).state().nodes[1].announcing, machine(2).announcing);
  EXPECT_EQ(fleet(1).opinions(member)[2].health, Health::down);
}

TEST_F(MembershipTest, KeysThatSomebodyHasRemovedComeBackWithTheNextChange) {
  build();
  find(2, Health::down);
  Transaction removal{.key = "x", .expected = {}, .puts = {}, .removals = {}, .read_otherwise = {}};
  for (const auto& [key, entry] : etcd.keys()) {
    if (key.ends_with("/lb2")) removal.removals.push_back(key);
  }
  ASSERT_TRUE(etcd.transact(removal)->happened);
  machine(2).announcing.ipv4 = 7;
  machine(2).membership->show();
  wait(3000);
  EXPECT_TRUE(etcd.keys().contains(keys.health() + "lb2"));
  EXPECT_TRUE(etcd.keys().contains(keys.known_nodes() + "lb2"));
}

// Five nodes, of which three probe each member.
class Spread : public MembershipTest {
 protected:
  Spread() : MembershipTest(5, true) {}

  std::vector<std::size_t> who_probes() {
    std::vector<std::size_t> numbers;
    for (std::size_t number = 1; number <= machines.size(); number++) {
      if (machine(number).membership && machine(number).membership->probes(member))
        numbers.push_back(number);
    }
    return numbers;
  }
  std::vector<std::size_t> others() {
    std::vector<std::size_t> numbers;
    const auto probing = who_probes();
    for (std::size_t number = 1; number <= machines.size(); number++) {
      if (std::ranges::count(probing, number) == 0) numbers.push_back(number);
    }
    return numbers;
  }
  std::optional<Health> in_data_plane(std::size_t number) {
    const auto* health = machine(number).controller->health().lookup(member);
    return health ? std::optional(*health) : std::nullopt;
  }
};

TEST_F(Spread, ThreeNodesProbeAMemberAndTheirMajorityIsTakenOverByTheOthers) {
  build();
  const auto probing = who_probes();
  ASSERT_EQ(probing.size(), 3U);
  EXPECT_EQ(in_data_plane(others()[0]), std::nullopt) << "nobody has probed it yet";
  for (const auto number : probing) find(number, Health::up);
  wait(1000);
  for (const auto number : others()) EXPECT_EQ(in_data_plane(number), Health::up);

  find(probing[0], Health::down);
  wait(1000);
  for (const auto number : others()) EXPECT_EQ(in_data_plane(number), Health::up) << "one of three";
  find(probing[2], Health::down);
  wait(1000);
  for (const auto number : others()) EXPECT_EQ(in_data_plane(number), Health::down);
  EXPECT_EQ(in_data_plane(probing[1]), Health::up) << "it believes its own probes";
  for (std::size_t number = 1; number <= 5; number++) {
    EXPECT_EQ(fleet(number).health().at(member), Health::down) << number;
    const auto opinions = fleet(number).opinions(member);
    ASSERT_EQ(opinions.size(), 3U) << number;
    EXPECT_EQ(opinions[1].node, machine(probing[1]).name);
    EXPECT_EQ(opinions[1].health, Health::up);
  }
}

TEST_F(Spread, WhoeverComesForANodeThatIsGoneGoesOnFromWhatWasKnown) {
  build();
  const auto probing = who_probes();
  for (const auto number : probing) find(number, Health::down);
  wait(1000);
  stop(machine(probing[0]));
  wait(15'000);
  const auto now_probing = who_probes();
  ASSERT_EQ(now_probing.size(), 3U);
  EXPECT_THAT(now_probing, testing::IsSupersetOf({probing[1], probing[2]}));
  for (const auto number : now_probing) EXPECT_EQ(in_data_plane(number), Health::down) << number;

  // Without etcd each node is on its own.
  etcd.has_quorum = false;
  wait(10'000);
  EXPECT_EQ(who_probes().size(), 4U);
  etcd.has_quorum = true;
  wait(15'000);
  EXPECT_EQ(who_probes(), now_probing);
}

TEST_F(Spread, ProgramsOfExternalMonitorsAreRunByEveryNode) {
  build();
  machine(1).controller->set_checks({.names = {"disk"}, .node = "lb1"});
  change([](model::Model& model) -> Result<void> {
    auto monitor = (*model.health_monitors.begin()).second;
    monitor.type = model::MonitorType::external;
    monitor.check = "disk";
    model.health_monitors.put(monitor);
    return {};
  });
  EXPECT_EQ(who_probes().size(), 5U);
}

TEST(Probers, EachMemberHasThreeAndANodeThatGoesChangesOnlyItsOwn) {
  std::set<std::string> nodes;
  for (int number = 1; number <= 8; number++) nodes.insert("lb" + std::to_string(number));
  auto fewer = nodes;
  fewer.erase("lb5");
  std::map<std::string, int> shares;
  int moved = 0;
  for (int i = 0; i < 8000; i++) {
    const auto member = new_uuid();
    const auto before = probers(member, nodes), after = probers(member, fewer);
    ASSERT_EQ(before.size(), 3U);
    for (const auto& node : before) shares[node]++;
    if (std::ranges::count(before, "lb5") == 0) {
      ASSERT_EQ(before, after);
    } else {
      ASSERT_NE(before, after);
      moved++;
    }
  }
  EXPECT_EQ(moved, shares["lb5"]);
  for (const auto& [node, share] : shares) EXPECT_NEAR(share, 3000, 300) << node;
  EXPECT_THAT(probers(new_uuid(), {"a", "b"}), ElementsAre("a", "b"));
  // Nodes of other releases must find the same ones.
  EXPECT_THAT(probers(*parse_uuid("00000000-0000-0000-0000-000000000001"), nodes),
              ElementsAre("lb1", "lb2", "lb5"));
}

}  // namespace
}  // namespace sluice::fleet::test
