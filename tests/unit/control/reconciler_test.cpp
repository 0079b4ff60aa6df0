#include "control/reconciler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "tests/support/fake_data_plane.hpp"
#include "tests/unit/control/walkthrough.hpp"

namespace sluice::control {
namespace {

using model::Health;
using test::ip;
using testing::ElementsAre;
using testing::IsEmpty;

class Reconciler : public testing::Test {
 protected:
  Reconciler() { walkthrough.build(model); }

  DataPlaneState desired() const { return desired_state(model, health); }
  std::vector<Uuid> ring() const { return desired().pools.at(walkthrough.pool).ring; }
  bool flagged(const Uuid& member) const { return desired().members.at(member).usable; }

  model::Table<model::Member>::Change a() { return model.members.change(walkthrough.a); }
  model::Table<model::Member>::Change b() { return model.members.change(walkthrough.b); }

  test::Walkthrough walkthrough;
  model::Model model;
  model::HealthTable health;
  const ListenerKey port_80{ip("10.0.0.16"), 80, model::Protocol::tcp};
};

TEST_F(Reconciler, TheWalkthroughBecomesAVipAListenerAPoolAndTwoMembers) {
  const auto state = desired();
  EXPECT_EQ(state.vips, (std::map<IpAddress, VipEntry>{{ip("10.0.0.16"), {walkthrough.lb, true}}}));
  ASSERT_EQ(state.listeners.size(), 1u);
  EXPECT_EQ(state.listeners.at(port_80), walkthrough.listener_entry());
  EXPECT_THAT(state.pools.at(walkthrough.pool).ring, ElementsAre(walkthrough.a, walkthrough.b));
  EXPECT_EQ(state.members.at(walkthrough.a), walkthrough.member_entry("10.0.0.4"));
  EXPECT_EQ(state.members.at(walkthrough.b), walkthrough.member_entry("10.0.0.6"));
}

TEST_F(Reconciler, MembersOfAProxyv2PoolGetTheHeader) {
  EXPECT_FALSE(desired().members.at(walkthrough.a).proxied);
  model.pools.change(walkthrough.pool)->protocol = model::Protocol::proxyv2;
  EXPECT_TRUE(desired().members.at(walkthrough.a).proxied);
}

TEST_F(Reconciler, AMemberWhoseCheckAsksForLessHasSoManyPercentOfItsWeight) {
  const auto entry = [&](const Reduced& reduced) {
    return desired_state(model, health, {}, {}, false, {}, reduced).pools.at(walkthrough.pool);
  };
  const auto slots_of_a = [&](const PoolEntry& pool) {
    return std::ranges::count(pool.ring, walkthrough.a);
  };
  EXPECT_EQ(entry({{walkthrough.a, 25}}).ring.size(), 5U);
  EXPECT_EQ(slots_of_a(entry({{walkthrough.a, 25}})), 1);
  EXPECT_THAT(entry({{walkthrough.a, 50}, {walkthrough.b, 50}}).ring,
              ElementsAre(walkthrough.a, walkthrough.b))
      << "all alike";
  EXPECT_THAT(entry({{walkthrough.a, 0}}).ring, ElementsAre(walkthrough.b));
  EXPECT_THAT(entry({{walkthrough.a, 0}, {walkthrough.b, 0}}).ring, IsEmpty());

  // Slots of least connections have 16 bits for a weight, however it came about.
  model.pools.change(walkthrough.pool)->lb_algorithm = model::Algorithm::least_connections;
  a()->weight = 256;
  b()->weight = 255;
  EXPECT_THAT(entry({{walkthrough.a, 99}, {walkthrough.b, 1}}).weights, ElementsAre(4096, 41));
}

TEST_F(Reconciler, AMemberWhoseTimeToDrainIsOverIsGivenUpAndNobodyElse) {
  a()->weight = 0;
  EXPECT_FALSE(desired().members.at(walkthrough.a).given_up);
  const auto over = desired_state(model, health, {}, {walkthrough.a});
  EXPECT_TRUE(over.members.at(walkthrough.a).given_up);
  EXPECT_FALSE(over.members.at(walkthrough.a).failed);
  EXPECT_FALSE(over.members.at(walkthrough.b).given_up);
  // A drained member gets nothing even if it is the last one, because the operator wants it so, not
  // a monitor.
  b()->weight = 0;
  EXPECT_TRUE(desired_state(model, health, {}, {walkthrough.a}).members.at(walkthrough.a).given_up);
}

TEST_F(Reconciler, AMemberSaysHowLongItsConnectionsMayGoOnOnceItIsRemoved) {
  const auto member = [&] { return desired().members.at(walkthrough.a); };
  EXPECT_FALSE(member().drain_seconds || member().drained_until) << "until they end";
  model.pools.change(walkthrough.pool)->drain_timeout_seconds = 0;
  EXPECT_EQ(member().drain_seconds, 0U) << "not at all";
  const auto second = std::chrono::sys_seconds(std::chrono::seconds(1'800'000'000));
  a()->drain_until = second - std::chrono::microseconds(1);
  EXPECT_EQ(member().drained_until, second) << "no connection ends before its time";
  EXPECT_FALSE(desired().members.at(walkthrough.b).drained_until);
}

TEST_F(Reconciler, AListenersIdleTimeIsItsOwnOrTheLargerDataTimeoutThatWasSet) {
  const auto listener = [&] { return model.listeners.change(walkthrough.listener); };
  const auto idle = [&] { return desired().listeners.at(port_80).idle_seconds; };
  EXPECT_EQ(idle(), 0U) << "50 s, the API's default, is no wish";
  listener()->timeout_client_data_ms = 10'001;
  EXPECT_EQ(idle(), 11U) << "no connection ends before its time; the other one was not set";
  listener()->timeout_member_data_ms = 600'000;
  EXPECT_EQ(idle(), 600U);
  listener()->timeout_member_data_ms = 2'073'600'000;
  EXPECT_EQ(idle(), 86400U) << "as long as can be told";
  EXPECT_FALSE(desired().listeners.at(port_80).idle_resets);
  listener()->on_idle = model::IdleEnd::reset;
  EXPECT_TRUE(desired().listeners.at(port_80).idle_resets);
  listener()->data_timeouts_count = false;
  EXPECT_EQ(idle(), 0U) << "stored before they had an effect";
  listener()->data_timeouts_count = true;
  listener()->idle_timeout_seconds = 5;
  EXPECT_EQ(idle(), 5U);
  listener()->idle_timeout_seconds.reset();
  listener()->protocol = model::Protocol::udp;
  const ListenerKey udp_80{ip("10.0.0.16"), 80, model::Protocol::udp};
  EXPECT_EQ(desired().listeners.at(udp_80).idle_seconds, 0U) << "they are TCP's";
}

TEST_F(Reconciler, AMemberHasTimeToAnswerOnlyIfThatWasSet) {
  const auto listener = [&] { return model.listeners.change(walkthrough.listener); };
  const auto tenths = [&] { return desired().listeners.at(port_80).connect_tenths; };
  EXPECT_EQ(tenths(), 0U) << "5 s, the API's default, is no wish";
  listener()->connect_timeout_set = true;
  EXPECT_EQ(tenths(), 50U) << "but it may be one";
  listener()->connect_timeout_set = false;
  listener()->timeout_member_connect_ms = 1'001;
  EXPECT_EQ(tenths(), 11U) << "none is passed over before its time";
  listener()->timeout_member_connect_ms = 2'073'600'000;
  EXPECT_EQ(tenths(), 36'000U) << "as long as can be told";
  listener()->timeout_member_connect_ms = 0;
  EXPECT_EQ(tenths(), 0U);
  listener()->timeout_member_connect_ms = 1'000;
  listener()->protocol = model::Protocol::udp;
  const ListenerKey udp_80{ip("10.0.0.16"), 80, model::Protocol::udp};
  EXPECT_EQ(desired().listeners.at(udp_80).connect_tenths, 0U) << "UDP opens nothing";
}

TEST_F(Reconciler, AListenerSchedulesDatagramsIfItSaysSo) {
  EXPECT_FALSE(desired().listeners.at(port_80).per_packet);
  model.listeners.change(walkthrough.listener)->udp_scheduling = model::UdpScheduling::packet;
  EXPECT_TRUE(desired().listeners.at(port_80).per_packet);
}

TEST_F(Reconciler, AListenerIsRecordedUnlessItSaysOtherwise) {
  EXPECT_TRUE(desired().listeners.at(port_80).recorded);
  model.listeners.change(walkthrough.listener)->records = false;
  EXPECT_FALSE(desired().listeners.at(port_80).recorded);
}

TEST_F(Reconciler, ARangeHasOneEntryForEachAddressUnderItsFirstPort) {
  walkthrough.add_floating_ip(model, "203.0.113.9");
  const auto ports = desired().listeners.size();
  EXPECT_EQ(desired().listeners.at(port_80).last_port, 0);
  model.listeners.change(walkthrough.listener)->protocol_port_range = 99;
  const auto state = desired();
  EXPECT_EQ(state.listeners.size(), ports);
  EXPECT_EQ(state.listeners.at(port_80).last_port, 99);
  EXPECT_EQ(state.listeners.at({ip("203.0.113.9"), 80, model::Protocol::tcp}).last_port, 99);
  model.listeners.change(walkthrough.listener)->protocol_port_range = 80;
  EXPECT_EQ(desired().listeners.at(port_80).last_port, 0) << "a range of one port is a port";
}

TEST_F(Reconciler, OnlyTcpsSynsAreAuthenticated) {
  EXPECT_EQ(desired().listeners.at(port_80).syn_authentication,
            model::SynAuthentication::automatic);
  const auto listener = [&] { return model.listeners.change(walkthrough.listener); };
  listener()->syn_authentication = model::SynAuthentication::always;
  EXPECT_EQ(desired().listeners.at(port_80).syn_authentication, model::SynAuthentication::always);
  listener()->protocol = model::Protocol::udp;
  const ListenerKey udp_80{ip("10.0.0.16"), 80, model::Protocol::udp};
  EXPECT_EQ(desired().listeners.at(udp_80).syn_authentication, model::SynAuthentication::off);
}

TEST_F(Reconciler, AFloatingIpReachesTheSameListenersAndMembersSeeTheVip) {
  walkthrough.add_floating_ip(model, "203.0.113.9");
  const auto state = desired();
  EXPECT_EQ(state.vips.at(ip("203.0.113.9")), (VipEntry{walkthrough.lb, true}));
  const ListenerKey key{ip("203.0.113.9"), 80, model::Protocol::tcp};
  EXPECT_EQ(state.listeners.at(key), walkthrough.listener_entry());
}

TEST_F(Reconciler, WithVipsOfBothVersionsAPoolServesEachWithTheMembersOfThatVersion) {
  model.load_balancers.change(walkthrough.lb)->additional_vips = {
      {ip("2001:db8::16"), std::nullopt}};
  b()->address = ip("2001:db8::6");
  const auto state = desired();
  EXPECT_THAT(state.vips, testing::SizeIs(3)) << "the mapped one, in case that a is down";
  EXPECT_THAT(state.pools.at({walkthrough.pool, false}).ring, ElementsAre(walkthrough.a));
  EXPECT_THAT(state.pools.at({walkthrough.pool, true}).ring, ElementsAre(walkthrough.b));
  const ListenerKey v6{ip("2001:db8::16"), 80, model::Protocol::tcp};
  EXPECT_EQ(state.listeners.at(v6).pool, walkthrough.pool);
  EXPECT_EQ(state.listeners.at(port_80).snat_source, ip("10.0.0.16"));
  EXPECT_TRUE(flagged(walkthrough.a) && flagged(walkthrough.b));

  health[walkthrough.b] = Health::down;
  EXPECT_THAT(desired().pools.at({walkthrough.pool, true}).ring, IsEmpty());
}

TEST_F(Reconciler, SnatAddressesAreAnsweredForAndConnectionsOfAllItsAddressesGetThem) {
  walkthrough.add_floating_ip(model, "203.0.113.9");
  model.load_balancers.change(walkthrough.lb)->additional_vips = {
      {ip("2001:db8::16"), std::nullopt}};
  model.load_balancers.change(walkthrough.lb)->snat_addresses = {ip("10.0.0.18"), ip("10.0.0.19"),
                                                                 ip("2001:db8::18")};
  b()->address = ip("2001:db8::6");
  auto state = desired();
  auto answered_for = VipEntry{walkthrough.lb, true, false, false, true};
  answered_for.mixed = true;
  EXPECT_EQ(state.vips.at(ip("10.0.0.18")), answered_for);
  EXPECT_FALSE(state.vips.at(ip("10.0.0.16")).snat);
  for (const auto& [key, entry] : state.listeners) {
    if (key.address.is_v6()) {
      EXPECT_THAT(entry.snat_addresses, ElementsAre(ip("2001:db8::18")));
      if (is_mapped(key.address)) continue;
      EXPECT_EQ(entry.snat_source, ip("2001:db8::16"));
    } else {
      EXPECT_THAT(entry.snat_addresses, ElementsAre(ip("10.0.0.18"), ip("10.0.0.19")));
    }
  }
  model.load_balancers.change(walkthrough.lb)->admin_state_up = false;
  EXPECT_FALSE(desired().vips.at(ip("10.0.0.18")).up);
}

TEST_F(Reconciler, MembersOfTheOtherIpVersionServeClientsOnlyWhileNoOtherCan) {
  b()->address = ip("2001:db8::6");
  EXPECT_FALSE(desired().vips.at(ip("10.0.0.16")).mixed) << "no source to reach it from";
  model.load_balancers.change(walkthrough.lb)->snat_addresses = {ip("2001:db8::18")};
  const ListenerKey mapped_80{ip("::ffff:10.0.0.16"), 80, model::Protocol::tcp};
  auto state = desired();
  EXPECT_TRUE(state.vips.at(ip("10.0.0.16")).mixed);
  EXPECT_FALSE(state.vips.at(ip("::ffff:10.0.0.16")).mixed);
  EXPECT_TRUE(state.listeners.at(port_80).mixed);
  EXPECT_FALSE(state.listeners.at(port_80).other_version);
  EXPECT_EQ(state.listeners.at(mapped_80).pool, walkthrough.pool);
  EXPECT_THAT(state.listeners.at(mapped_80).snat_addresses, ElementsAre(ip("2001:db8::18")));
  EXPECT_THAT(state.pools.at({walkthrough.pool, true}).ring, ElementsAre(walkthrough.b));

  health[walkthrough.a] = Health::down;
  EXPECT_TRUE(desired().listeners.at(port_80).other_version);
  EXPECT_THAT(diff(desired(), state),
              testing::Contains(Operation(PutListener{port_80, desired().listeners.at(port_80)})));
  health[walkthrough.b] = Health::down;
  EXPECT_FALSE(desired().listeners.at(port_80).other_version) << "none can";

  model.pools.change(walkthrough.pool)->forwarding_mode = model::ForwardingMode::dnat;
  EXPECT_FALSE(desired().vips.contains(ip("::ffff:10.0.0.16")));
}

TEST_F(Reconciler, MembersOfBothVersionsServeSideBySideIfTheirPoolSaysSo) {
  b()->address = ip("2001:db8::6");
  model.pools.change(walkthrough.pool)->mixed_versions = true;
  EXPECT_FALSE(desired().listeners.at(port_80).other_version) << "no source toward one of them";
  model.load_balancers.change(walkthrough.lb)->snat_addresses = {ip("2001:db8::18")};
  auto state = desired();
  const ListenerKey mapped_80{ip("::ffff:10.0.0.16"), 80, model::Protocol::tcp};
  EXPECT_TRUE(state.listeners.at(port_80).other_version);
  EXPECT_FALSE(state.listeners.at(port_80).both_versions);
  EXPECT_TRUE(state.listeners.at(mapped_80).both_versions);
  EXPECT_THAT(state.listeners.at(mapped_80).snat_addresses, ElementsAre(ip("2001:db8::18")));
  EXPECT_THAT(state.listeners.at(mapped_80).snat_addresses4, ElementsAre(ip("10.0.0.16")));
  EXPECT_THAT(state.pools.at({walkthrough.pool, true}).ring,
              testing::UnorderedElementsAre(walkthrough.a, walkthrough.b));
  EXPECT_TRUE(state.members.at(walkthrough.a).usable);

  health[walkthrough.a] = Health::down;
  state = desired();
  EXPECT_THAT(state.pools.at({walkthrough.pool, true}).ring, ElementsAre(walkthrough.b));
  EXPECT_TRUE(state.members.at(walkthrough.a).given_up) << "the other one takes over";
  health.clear();

  model.load_balancers.change(walkthrough.lb)->additional_vips = {
      {ip("2001:db8::16"), std::nullopt}};
  const ListenerKey v6{ip("2001:db8::16"), 80, model::Protocol::tcp};
  const auto entry = desired().listeners.at(v6);
  EXPECT_FALSE(entry.other_version);
  EXPECT_TRUE(entry.both_versions);
  EXPECT_EQ(pool_entry_of(v6, entry), PoolKey(walkthrough.pool, true));
  EXPECT_THAT(entry.snat_addresses4, ElementsAre(ip("10.0.0.16")));

  model.load_balancers.change(walkthrough.lb)
      ->additional_vips.push_back({ip("2001:db8::17"), std::nullopt});
  state = desired();
  EXPECT_FALSE(state.listeners.at(v6).both_versions) << "::17 has no way to IPv4 members";
  EXPECT_THAT(state.pools.at({walkthrough.pool, true}).ring, ElementsAre(walkthrough.b));
}

TEST_F(Reconciler, ClientsOfAnIpv6VipHaveIpv4MembersByTheVipOrASnatAddress) {
  model.load_balancers.change(walkthrough.lb)->additional_vips = {
      {ip("2001:db8::16"), std::nullopt}};
  const ListenerKey v6{ip("2001:db8::16"), 80, model::Protocol::tcp};
  EXPECT_TRUE(desired().listeners.at(v6).other_version);
  EXPECT_EQ(pool_entry_of(v6, desired().listeners.at(v6)), PoolKey(walkthrough.pool, false));
  EXPECT_THAT(desired().listeners.at(v6).snat_addresses, ElementsAre(ip("10.0.0.16")));
  EXPECT_EQ(desired().listeners.at(v6).snat_source, ip("2001:db8::16"));
  EXPECT_TRUE(desired().vips.at(ip("10.0.0.16")).mixed);
  model.load_balancers.change(walkthrough.lb)->snat_addresses = {ip("10.0.0.18")};
  EXPECT_THAT(desired().listeners.at(v6).snat_addresses, ElementsAre(ip("10.0.0.18")));
  EXPECT_TRUE(desired().vips.at(ip("10.0.0.18")).mixed);
}

TEST_F(Reconciler, ASnatAddressThatIsTakenAwayStaysUntilNoConnectionHasIt) {
  const auto before = desired();
  model.load_balancers.change(walkthrough.lb)->snat_addresses = {ip("10.0.0.18")};
  const auto with = desired();
  const auto coming = diff(with, before);
  ASSERT_THAT(coming, testing::SizeIs(2));
  EXPECT_TRUE(std::holds_alternative<PutVip>(coming.front()));
  EXPECT_TRUE(std::holds_alternative<PutListener>(coming.back()));
  const auto going = diff(before, with);
  ASSERT_THAT(going, testing::SizeIs(2));
  EXPECT_TRUE(std::holds_alternative<PutListener>(going.front()));
  ASSERT_TRUE(std::holds_alternative<PutVip>(going.back()));
  EXPECT_TRUE(std::get<PutVip>(going.back()).entry.leaving);

  auto after = with;
  for (const auto& operation : going) apply_to(after, operation);
  EXPECT_THAT(diff(before, after), IsEmpty());
  EXPECT_THAT(for_leaving(after, false), IsEmpty());
  ASSERT_THAT(for_leaving(after, true), testing::SizeIs(1));
  EXPECT_TRUE(std::get<PutVip>(for_leaving(after, true).front()).entry.standby);
  const auto again = diff(with, after);
  EXPECT_EQ(std::get<PutVip>(again.front()), std::get<PutVip>(coming.front())) << "it comes back";
  EXPECT_EQ(std::ranges::count(diff({}, after), Operation(RemoveVip{ip("10.0.0.18")})), 1)
      << "its load balancer is deleted";
}

TEST_F(Reconciler, NodesSnatAddressesAreAnsweredForByOneNodeAndUsedWhereTheLoadBalancerHasNone) {
  model.load_balancers.change(walkthrough.lb)->additional_vips = {
      {ip("2001:db8::16"), std::nullopt}};
  walkthrough.add_member(model, "2001:db8::4");
  const ListenerKey v6{ip("2001:db8::16"), 80, model::Protocol::tcp};
  const NodeSnat nodes{.own = {ip("10.0.0.31"), ip("2001:db8::31")},
                       .addresses = {{ip("10.0.0.31"), {"lb1", SnatRole::owns}},
                                     {ip("2001:db8::31"), {"lb1", SnatRole::owns}},
                                     {ip("10.0.0.32"), {"lb2", SnatRole::succeeds}},
                                     {ip("10.0.0.33"), {"lb3", SnatRole::replaces}},
                                     {ip("10.0.0.16"), {"lb4", SnatRole::owns}}}};
  const auto with_nodes = [&] {
    return desired_state(model, health, {}, {}, true, {}, nobody_reduced, nodes);
  };
  const auto state = with_nodes();
  EXPECT_FALSE(state.vips.at(ip("10.0.0.31")).standby)
      << "its VIPs are, but the address is its own";
  EXPECT_TRUE(state.vips.at(ip("10.0.0.32")).standby);
  EXPECT_FALSE(state.vips.at(ip("10.0.0.33")).standby);
  EXPECT_TRUE(state.vips.at(ip("10.0.0.33")).snat);
  EXPECT_EQ(state.vips.at(ip("10.0.0.16")).load_balancer, walkthrough.lb) << "a VIP stays one";
  EXPECT_THAT(state.listeners.at(port_80).snat_addresses, ElementsAre(ip("10.0.0.31")));
  EXPECT_THAT(state.listeners.at(v6).snat_addresses, ElementsAre(ip("2001:db8::31")));
  EXPECT_TRUE(state.vips.at(ip("10.0.0.31")).mixed);
  EXPECT_TRUE(state.listeners.at(port_80).mixed)
      << "another load balancer may have members of both versions, and the same source";

  model.load_balancers.change(walkthrough.lb)->snat_addresses = {ip("10.0.0.18")};
  EXPECT_THAT(with_nodes().listeners.at(port_80).snat_addresses, ElementsAre(ip("10.0.0.18")));
  EXPECT_THAT(with_nodes().listeners.at(v6).snat_addresses, ElementsAre(ip("2001:db8::31")));
}

// An entry's sources are those toward a version of members, whichever version its clients have.
TEST_F(Reconciler, NodesSnatAddressesAreTheSourcesTowardMembersOfTheOtherVersionToo) {
  model.load_balancers.change(walkthrough.lb)->additional_vips = {
      {ip("2001:db8::16"), std::nullopt}};
  const NodeSnat nodes{.own = {ip("10.0.0.31"), ip("2001:db8::31")}, .addresses = {}};
  const auto sources = [&](const char* address) {
    const auto state = desired_state(model, health, {}, {}, false, {}, nobody_reduced, nodes);
    return state.listeners.at({ip(address), 80, model::Protocol::tcp}).snat_addresses;
  };
  EXPECT_THAT(sources("2001:db8::16"), ElementsAre(ip("10.0.0.31"))) << "all members have IPv4";
  walkthrough.add_member(model, "2001:db8::4");
  EXPECT_THAT(sources("2001:db8::16"), ElementsAre(ip("2001:db8::31")));
  EXPECT_THAT(sources("::ffff:10.0.0.16"), ElementsAre(ip("2001:db8::31")));
}

TEST_F(Reconciler, ANodesSnatAddressThatIsTakenAwayStaysUntilNoConnectionHasIt) {
  const NodeSnat nodes{.own = {}, .addresses = {{ip("10.0.0.32"), {"lb2", SnatRole::replaces}}}};
  const auto with = desired_state(model, health, {}, {}, false, {}, nobody_reduced, nodes);
  const auto going = diff(desired(), with);
  ASSERT_THAT(going, testing::SizeIs(1));
  EXPECT_TRUE(std::get<PutVip>(going.front()).entry.leaving);
  auto after = with;
  apply_to(after, going.front());
  EXPECT_THAT(for_leaving(after, true), IsEmpty()) << "it is none of the pair's";
}

TEST_F(Reconciler, ALoadBalancerThatTellsClientsDoesSoOnAllItsAddresses) {
  model.load_balancers.change(walkthrough.lb)->on_unmatched = model::RefusalMode::reset;
  walkthrough.add_floating_ip(model, "203.0.113.9");
  for (const auto& [address, vip] : desired().vips) EXPECT_TRUE(vip.resets);
}

TEST_F(Reconciler, AFailedMemberDoesNotChangeTheLengthOfAMaglevTable) {
  model.pools.change(walkthrough.pool)->lb_algorithm = model::Algorithm::maglev;
  for (int i = 0; i < 39; ++i) {  // 41 in all: one less would have a shorter table
    auto more = model.members.at(walkthrough.a);
    more.id = new_uuid();
    model.members.put(more);
  }
  const auto length = ring().size();
  health[walkthrough.a] = Health::down;
  EXPECT_EQ(ring().size(), length);
}

TEST_F(Reconciler, AMemberThatIsDownOrDisabledStaysKnownButLeavesTheRing) {
  health[walkthrough.a] = Health::down;
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  EXPECT_FALSE(flagged(walkthrough.a));
  health.clear();
  b()->admin_state_up = false;
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a));
  EXPECT_FALSE(flagged(walkthrough.b));
}

TEST_F(Reconciler, WeightZeroTakesNoNewConnections) {
  a()->weight = 0;
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  EXPECT_FALSE(flagged(walkthrough.a));
}

TEST_F(Reconciler, WeightsAreInTheRing) {
  a()->weight = 3;
  EXPECT_EQ(ring().size(), 4u);
}

TEST_F(Reconciler, BackupsServeOnlyWhenNobodyElseDoes) {
  b()->backup = true;
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a));
  EXPECT_FALSE(flagged(walkthrough.b));
  health[walkthrough.a] = Health::down;
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  health[walkthrough.b] = Health::down;
  EXPECT_THAT(ring(), IsEmpty());
  health.clear();
  a()->weight = 0;
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b)) << "drained: the backup takes over";
}

TEST_F(Reconciler, SuspectsTakeNoNewConnectionsAsLongAsThereIsAnotherMember) {
  const auto with = [&](const Suspects& suspects) {
    return desired_state(model, health, suspects);
  };
  const auto state = with({walkthrough.a});
  EXPECT_THAT(state.pools.at(walkthrough.pool).ring, ElementsAre(walkthrough.b));
  auto expected = desired().members.at(walkthrough.a);
  expected.usable = false;
  EXPECT_EQ(state.members.at(walkthrough.a), expected) << "neither failed nor given up";
  EXPECT_EQ(with({walkthrough.a, walkthrough.b}), desired()) << "somebody has to take them";
  b()->backup = true;
  EXPECT_EQ(with({walkthrough.a}), desired()) << "no backup is called for a suspicion";
}

TEST_F(Reconciler, ADisabledLoadBalancerKeepsItsAddressesAndAnswersNothing) {
  walkthrough.add_floating_ip(model, "203.0.113.9");
  model.load_balancers.change(walkthrough.lb)->admin_state_up = false;
  const auto state = desired();
  EXPECT_EQ(state.vips.at(ip("10.0.0.16")), (VipEntry{walkthrough.lb, false}));
  EXPECT_EQ(state.vips.at(ip("203.0.113.9")), (VipEntry{walkthrough.lb, false}));
  EXPECT_THAT(state.listeners, IsEmpty());
}

TEST_F(Reconciler, ADisabledListenerIsAbsent) {
  model.listeners.change(walkthrough.listener)->admin_state_up = false;
  EXPECT_THAT(desired().listeners, IsEmpty());
}

TEST_F(Reconciler, AListenerWithoutAPoolOrWithADisabledOneIsThereWithNobodyBehindIt) {
  model.pools.change(walkthrough.pool)->admin_state_up = false;
  auto state = desired();
  EXPECT_TRUE(state.listeners.at(port_80).pool.is_nil());
  EXPECT_THAT(state.pools, IsEmpty());
  EXPECT_EQ(state.members.size(), 2u);
  EXPECT_FALSE(state.members.at(walkthrough.a).usable);

  ASSERT_TRUE(remove_pool(model, walkthrough.pool, walkthrough.now));
  state = desired();
  EXPECT_TRUE(state.listeners.at(port_80).pool.is_nil());
  EXPECT_THAT(state.members, IsEmpty());
}

TEST_F(Reconciler, TheForwardingModeIsThePools) {
  model.pools.change(walkthrough.pool)->forwarding_mode = model::ForwardingMode::dnat;
  EXPECT_EQ(desired().pools.at(walkthrough.pool).forwarding_mode, model::ForwardingMode::dnat);
}

TEST_F(Reconciler, EqualStatesNeedNoOperation) {
  EXPECT_THAT(diff(desired(), desired()), IsEmpty());
}

TEST_F(Reconciler, BuildingUpGoesFromMembersToTheVip) {
  const auto state = desired();
  const auto operations = diff(state, {});
  ASSERT_EQ(operations.size(), 5u);
  EXPECT_TRUE(std::holds_alternative<PutMember>(operations[0]));
  EXPECT_TRUE(std::holds_alternative<PutMember>(operations[1]));
  EXPECT_TRUE(std::holds_alternative<PutPool>(operations[2]));
  EXPECT_TRUE(std::holds_alternative<PutListener>(operations[3]));
  EXPECT_TRUE(std::holds_alternative<PutVip>(operations[4]));
}

TEST_F(Reconciler, TakingDownGoesFromTheVipToMembers) {
  const auto operations = diff({}, desired());
  ASSERT_EQ(operations.size(), 5u);
  EXPECT_TRUE(std::holds_alternative<RemoveVip>(operations[0]));
  EXPECT_TRUE(std::holds_alternative<RemoveListener>(operations[1]));
  EXPECT_TRUE(std::holds_alternative<RemovePool>(operations[2]));
  EXPECT_TRUE(std::holds_alternative<RemoveMember>(operations[3]));
  EXPECT_TRUE(std::holds_alternative<RemoveMember>(operations[4]));
}

TEST_F(Reconciler, AnEvictionIsOneRingSwapAndThenTheMembersFlag) {
  const auto before = desired();
  health[walkthrough.a] = Health::down;
  const auto operations = diff(desired(), before);
  auto down = walkthrough.member_entry("10.0.0.4");
  down.usable = false;
  down.failed = down.given_up = true;
  EXPECT_THAT(operations, ElementsAre(Operation(PutPool{walkthrough.pool, {{}, {walkthrough.b}}}),
                                      Operation(PutMember{walkthrough.a, down})));
}

TEST_F(Reconciler, MembersThatAreDownAreGivenUpAsLongAsThereIsAnotherOne) {
  health[walkthrough.a] = Health::down;
  auto state = desired();
  EXPECT_TRUE(state.members.at(walkthrough.a).given_up);
  EXPECT_FALSE(state.members.at(walkthrough.b).given_up);

  health[walkthrough.b] = Health::down;
  state = desired();
  EXPECT_FALSE(state.members.at(walkthrough.a).given_up) << "where should its clients go?";
  EXPECT_FALSE(state.members.at(walkthrough.b).given_up);
}

TEST_F(Reconciler, APoolMayKeepTheConnectionsOfMembersThatAreDown) {
  model.pools.change(walkthrough.pool)->on_member_down = model::MemberDownMode::keep;
  health[walkthrough.a] = Health::down;
  EXPECT_TRUE(desired().members.at(walkthrough.a).failed);
  EXPECT_FALSE(desired().members.at(walkthrough.a).given_up);
  EXPECT_TRUE(desired().members.at(walkthrough.a).keeps);
}

TEST_F(Reconciler, DrainedDisabledAndRemovedMembersAreNotGivenUp) {
  model.members.change(walkthrough.a)->weight = 0;
  EXPECT_FALSE(desired().members.at(walkthrough.a).given_up);
  model.members.change(walkthrough.a)->admin_state_up = false;
  EXPECT_FALSE(desired().members.at(walkthrough.a).given_up);
}

TEST_F(Reconciler, AReturnIsTheMembersFlagAndThenOneRingSwap) {
  const auto up = desired();
  health[walkthrough.a] = Health::down;
  const auto operations = diff(up, desired());
  EXPECT_THAT(
      operations,
      ElementsAre(Operation(PutMember{walkthrough.a, walkthrough.member_entry("10.0.0.4")}),
                  Operation(PutPool{walkthrough.pool, {{}, {walkthrough.a, walkthrough.b}}})));
}

// A random configuration of a few load balancers; some things disabled, down, drained or without a
// pool.
struct Random {
  explicit Random(unsigned seed) : random(seed) {}

  bool chance(unsigned percent) { return random() % 100 < percent; }

  void build(model::Model& model, model::HealthTable& health, const std::vector<Uuid>& ids) {
    for (unsigned i = 0; i < 4; i++) {
      if (chance(25)) continue;
      const auto lb_id = ids[i];
      model::LoadBalancer lb;
      lb.id = lb_id;
      lb.vip_address = ip(("10.0.0." + std::to_string(16 + random() % 5)).c_str());
      lb.admin_state_up = chance(80);
      model.load_balancers.put(lb);
      for (unsigned j = 0; j < 3; j++) build_service(model, health, lb_id, ids, i * 3 + j, j);
    }
  }

  void build_service(model::Model& model, model::HealthTable& health, const Uuid& lb,
                     const std::vector<Uuid>& ids, unsigned index, unsigned port) {
    model::Pool pool;
    pool.id = ids[10 + index];
    pool.load_balancer_id = lb;
    pool.admin_state_up = chance(80);
    if (chance(80)) model.pools.put(pool);
    model::Listener listener;
    listener.id = ids[30 + index];
    listener.load_balancer_id = lb;
    listener.protocol_port = static_cast<std::uint16_t>(80 + port);
    listener.admin_state_up = chance(80);
    if (model.pools.contains(pool.id) && chance(80)) listener.default_pool_id = pool.id;
    if (chance(80)) model.listeners.put(listener);
    if (!model.pools.contains(pool.id)) return;
    for (unsigned k = 0; k < 4; k++) {
      model::Member member;
      member.id = ids[50 + index * 4 + k];
      member.pool_id = pool.id;
      member.address = ip("10.1.0.1");
      member.protocol_port = static_cast<std::uint16_t>(1000 + k);
      member.weight = static_cast<std::uint16_t>(random() % 4);
      member.backup = chance(20);
      member.admin_state_up = chance(90);
      if (chance(25)) continue;
      model.members.put(member);
      if (chance(25)) health[member.id] = Health::down;
    }
  }

  std::mt19937 random;
};

TEST(ReconcilerProperty, FromAnyStateToAnyOtherNothingHalfBuiltIsEverVisible) {
  std::vector<Uuid> ids(120);
  for (auto& id : ids) id = new_uuid();
  sluice::test::FakeDataPlane data_plane;
  for (unsigned seed = 0; seed < 500; seed++) {
    model::Model model;
    model::HealthTable health;
    Random(seed).build(model, health, ids);
    const auto desired = desired_state(model, health);
    for (const auto& operation : diff(desired, data_plane.state)) {
      ASSERT_TRUE(data_plane.apply(operation));
    }
    ASSERT_EQ(data_plane.state, desired) << "seed " << seed;
    ASSERT_THAT(data_plane.violations, IsEmpty()) << "seed " << seed;
  }
}

TEST(ReconcilerScale, TenThousandMembersTakeMilliseconds) {
  test::Walkthrough walkthrough;
  model::Model model;
  walkthrough.build(model);
  for (unsigned i = 0; i < 10'000; i++) {
    model::Member member;
    member.id = new_uuid();
    member.pool_id = walkthrough.pool;
    member.address = boost::asio::ip::address_v4(0x0a010000 + i);
    member.protocol_port = 80;
    model.members.put(member);
  }
  const auto before = desired_state(model, {});
  const auto start = std::clock();
  const auto after = desired_state(model, {{walkthrough.a, Health::down}});
  const auto operations = diff(after, before);
  const auto took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(operations.size(), 2u);
  // CPU time doesn't count other load on the machine. The limit is generous, for debug builds and
  // sanitizers; quadratic time would take minutes.
  EXPECT_LT(took, 5);
  RecordProperty("microseconds", static_cast<int>(took * 1e6));
}

}  // namespace
}  // namespace sluice::control
