// SNAT addresses of nodes: each has one node, and one node at a time answers for it, whatever
// becomes of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>

#include "fleet/snat_claims.hpp"
#include "fleet/succession.hpp"
#include "tests/fleet/fake_etcd.hpp"
#include "tests/fleet/scheduler.hpp"

namespace sluice::fleet::test {
namespace {

using control::SnatRole;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

IpAddress ip(const char* text) {
  return boost::asio::ip::make_address(text);
}

const std::map<std::string, IpAddress> addresses = {
    {"lb1", ip("10.0.0.31")}, {"lb2", ip("10.0.0.32")}, {"lb3", ip("2001:db8::33")}};

class SuccessionTest : public testing::Test {
 protected:
  // What each node does for the address of `owner`, by what it sees.
  SnatRole role_at(const std::string& node, const std::string& owner) {
    Surroundings all{.node = node,
                     .owners = {},
                     .nodes = conditions,
                     .candidates = {"lb1", "lb2", "lb3"},
                     .absent = absent,
                     .is_displaced = displaced.contains(node)};
    for (const auto& [name, address] : addresses) all.owners[address] = name;
    const auto roles = snat_roles(all, present);
    EXPECT_EQ(roles.size(), addresses.size());
    EXPECT_EQ(roles.at(addresses.at(owner)).node, owner);
    return roles.at(addresses.at(owner)).role;
  }
  std::map<std::string, SnatRole> roles(const std::string& owner) {
    std::map<std::string, SnatRole> all;
    for (const auto& [name, address] : addresses) all[name] = role_at(name, owner);
    return all;
  }
  static std::vector<std::string> those(const std::map<std::string, SnatRole>& roles,
                                        SnatRole wanted) {
    std::vector<std::string> names;
    for (const auto& [name, role] : roles) {
      if (role == wanted) names.push_back(name);
    }
    return names;
  }

  std::map<std::string, Condition> conditions = {
      {"lb1", Condition::serves}, {"lb2", Condition::serves}, {"lb3", Condition::serves}};
  std::set<std::string> absent, displaced;
  std::map<IpAddress, control::NodeSnatAddress> present;
};

TEST_F(SuccessionTest, EachNodeOwnsItsAddressAndOneOtherSucceeds) {
  for (const auto& [owner, address] : addresses) {
    const auto all = roles(owner);
    EXPECT_THAT(those(all, SnatRole::owns), ElementsAre(owner));
    EXPECT_EQ(those(all, SnatRole::succeeds).size(), 1U);
    EXPECT_EQ(those(all, SnatRole::stands_by).size(), 1U);
  }
}

// Whatever the nodes' conditions, as long as all see the same: one node answers for an address, or
// it can't be known yet whether its own does.
TEST_F(SuccessionTest, OneNodeAnswersForAnAddress) {
  constexpr std::array all = {Condition::serves, Condition::hands_over, Condition::retired,
                              Condition::silent};
  for (const auto one : all) {
    for (const auto two : all) {
      for (const auto three : all) {
        conditions = {{"lb1", one}, {"lb2", two}, {"lb3", three}};
        for (const auto& [owner, address] : addresses) {
          absent.clear();
          if (conditions.at(owner) == Condition::silent) absent.insert(owner);
          const auto found = roles(owner);
          const auto answering = std::ranges::count_if(
              found, [](const auto& role) { return control::answers(role.second); });
          EXPECT_EQ(answering, 1) << owner;
          EXPECT_LE(those(found, SnatRole::succeeds).size(), 1U);
        }
      }
    }
  }
}

TEST_F(SuccessionTest, TheSuccessorOfADrainedNodeIsTheOneThatRoutersKnowAlready) {
  const auto before = those(roles("lb1"), SnatRole::succeeds);
  conditions["lb1"] = Condition::hands_over;
  EXPECT_EQ(role_at("lb1", "lb1"), SnatRole::owns) << "answers still come to it";
  conditions["lb1"] = Condition::retired;
  EXPECT_EQ(those(roles("lb1"), SnatRole::replaces), before);
  EXPECT_EQ(role_at("lb1", "lb1"), SnatRole::stands_by);
}

TEST_F(SuccessionTest, ANodeThatAnswersOnTheLinkIsNotReplacedThoughNothingIsHeardOfIt) {
  conditions.erase("lb2");
  EXPECT_THAT(those(roles("lb2"), SnatRole::replaces), IsEmpty());
  absent = {"lb2"};
  EXPECT_EQ(those(roles("lb2"), SnatRole::replaces).size(), 1U);
}

TEST_F(SuccessionTest, WhoIsDrainedTakesNobodysPlace) {
  const auto first = those(roles("lb1"), SnatRole::succeeds);
  ASSERT_EQ(first.size(), 1U);
  conditions[first[0]] = Condition::hands_over;
  const auto next = those(roles("lb1"), SnatRole::succeeds);
  ASSERT_EQ(next.size(), 1U);
  EXPECT_NE(next, first);
}

TEST_F(SuccessionTest, ANodeThatJoinsGoesOnAsItDid) {
  conditions["lb3"] = Condition::silent;
  EXPECT_EQ(role_at("lb3", "lb3"), SnatRole::stands_by) << "its replicas are not there yet";
  present[addresses.at("lb3")] = {"lb3", SnatRole::owns};
  EXPECT_EQ(role_at("lb3", "lb3"), SnatRole::owns) << "only its sluiced was restarted";
  present.clear();
  conditions["lb1"] = conditions["lb2"] = Condition::silent;
  EXPECT_EQ(role_at("lb3", "lb3"), SnatRole::owns) << "it is alone";
}

TEST_F(SuccessionTest, WhoIsCutOffAndReplacedStopsAnswering) {
  displaced = {"lb1"};
  EXPECT_EQ(role_at("lb1", "lb1"), SnatRole::stands_by);
  EXPECT_EQ(role_at("lb2", "lb2"), SnatRole::owns);
}

TEST_F(SuccessionTest, TheOrderMayNotChange) {
  const std::set<std::string> nodes = {"lb1", "lb2", "lb3", "lb4"};
  std::vector<std::string> order;
  auto left = nodes;
  while (!left.empty()) {
    order.push_back(successor_of("lb9", left));
    left.erase(order.back());
  }
  EXPECT_THAT(order, ElementsAre("lb1", "lb4", "lb2", "lb3"));
}

class ClaimsTest : public testing::Test {
 protected:
  struct Node {
    std::unique_ptr<FakeClient> client;
    std::unique_ptr<SnatClaims> claims;
    std::vector<std::string> lines;
  };
  Node& start(const std::string& name, std::vector<IpAddress> wanted) {
    auto& node = nodes[name];
    node.claims.reset();
    node.client = std::make_unique<FakeClient>(scheduler, etcd, weather);
    node.claims = std::make_unique<SnatClaims>(
        *node.client, SnatClaims::Settings{keys, name, std::move(wanted)},
        [&node](Tone, const std::string& line) { node.lines.push_back(line); });
    return node;
  }
  // What a watch would do, a few times.
  void settle() {
    for (int i = 0; i < 20; ++i) {
      for (auto& [name, node] : nodes) node.claims->follow(owners());
      scheduler.run_until(scheduler.now() + Time(200));
    }
  }
  std::map<IpAddress, std::string> owners() const {
    Roster roster(keys);
    std::vector<KeyValue> all;
    for (const auto& [key, value] : etcd.keys()) all.push_back(value);
    roster.reset(1, all);
    return roster.snat_addresses();
  }

  const Keys keys;
  Scheduler scheduler{7};
  FakeEtcd etcd{scheduler};
  Weather weather;
  std::map<std::string, Node> nodes;
};

TEST_F(ClaimsTest, AnAddressIsTheFirstNodesThatClaimsIt) {
  start("lb1", {ip("10.0.0.31"), ip("2001:db8::31")});
  settle();
  auto& second = start("lb2", {ip("10.0.0.32"), ip("10.0.0.31")});
  settle();
  EXPECT_EQ(owners(),
            (std::map<IpAddress, std::string>{
                {ip("10.0.0.31"), "lb1"}, {ip("10.0.0.32"), "lb2"}, {ip("2001:db8::31"), "lb1"}}));
  EXPECT_THAT(second.claims->own(), ElementsAre(ip("10.0.0.32")));
  EXPECT_EQ(second.claims->refusal(), "SNAT address 10.0.0.31 is lb1's");
  EXPECT_THAT(second.lines, ElementsAre(HasSubstr("SNAT address 10.0.0.31 is lb1's")));
  EXPECT_EQ(nodes["lb1"].claims->refusal(), "");
}

TEST_F(ClaimsTest, WhoIsRefusedKeepsWhatItHas) {
  start("lb1", {ip("10.0.0.31")});
  start("lb2", {ip("10.0.0.32")});
  settle();
  const auto before = owners();
  start("lb2", {ip("10.0.0.31")});
  settle();
  EXPECT_EQ(owners(), before) << "its connections still have it";
}

TEST_F(ClaimsTest, OfTwoAtTheSameTimeOneGetsIt) {
  for (const auto* name : {"lb1", "lb2"}) start(name, {ip("10.0.0.31")});
  settle();
  ASSERT_EQ(owners().size(), 1U);
  const auto& winner = owners().begin()->second;
  for (const auto* name : {"lb1", "lb2"})
    EXPECT_EQ(nodes[name].claims->refusal().empty(), name == winner) << name;
}

TEST_F(ClaimsTest, AnAddressThatANodeDoesNotWantAnyMoreIsFree) {
  start("lb1", {ip("10.0.0.31")});
  settle();
  start("lb1", {ip("10.0.0.39")});
  auto& second = start("lb2", {ip("10.0.0.31")});
  settle();
  EXPECT_EQ(owners(),
            (std::map<IpAddress, std::string>{{ip("10.0.0.31"), "lb2"}, {ip("10.0.0.39"), "lb1"}}));
  EXPECT_EQ(second.claims->refusal(), "");
}

}  // namespace
}  // namespace sluice::fleet::test
