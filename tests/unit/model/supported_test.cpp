#include "model/supported.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/edit.hpp"
#include "model/limits.hpp"

namespace sluice::model {
namespace {

IpAddress ip(const char* text) {
  return boost::asio::ip::make_address(text);
}

// A model that grows by one object per test; `refusal` is what that object is refused with.
class SupportedTest : public testing::Test {
 protected:
  SupportedTest() {
    LoadBalancer load_balancer;
    load_balancer.vip_address = ip("10.0.0.16");
    lb_ = add(before_, load_balancer, {}).value();
    Pool pool;
    pool.load_balancer_id = lb_;
    pool_ = add(before_, pool, std::nullopt, {}).value();
    after_ = before_;
  }

  template <typename T>
  std::string refusal(T object) {
    if constexpr (std::is_same_v<T, Pool>) {
      object.load_balancer_id = lb_;
      EXPECT_TRUE(add(after_, object, std::nullopt, {}));
    } else {
      EXPECT_TRUE(add(after_, object, {}));
    }
    EXPECT_TRUE(check_supported(Supported::everything(), before_, after_));
    const auto checked = check_supported(few_, before_, after_);
    if (checked) return "accepted";
    EXPECT_EQ(checked.error().kind, ErrorKind::unsupported);
    const std::string prefix = "Provider 'sluice' does not support a requested option: ";
    EXPECT_EQ(checked.error().message.substr(0, prefix.size()), prefix);
    return checked.error().message.substr(prefix.size());
  }

  Listener listener(Protocol protocol) const {
    Listener object;
    object.load_balancer_id = lb_;
    object.protocol = protocol;
    object.protocol_port = 80;
    return object;
  }

  Supported few_{.transports = {Protocol::tcp},
                 .algorithms = {Algorithm::round_robin},
                 .forwarding_modes = {ForwardingMode::fullnat},
                 .monitor_types = {MonitorType::http, MonitorType::tcp},
                 .session_persistence = false,
                 .allowed_cidrs = false,
                 .ipv6 = false};
  Model before_, after_;
  Uuid lb_{}, pool_{};
};

TEST_F(SupportedTest, HttpAndHttpsAreTcp) {
  EXPECT_EQ(refusal(listener(Protocol::http)), "accepted");
}

TEST_F(SupportedTest, TransportsAreRefusedOnListeners) {
  EXPECT_EQ(refusal(listener(Protocol::udp)), "protocol UDP is not supported by this version");
}

TEST_F(SupportedTest, AccessListsAreRefused) {
  auto object = listener(Protocol::tcp);
  object.allowed_cidrs = {parse_ip_network("10.0.0.0/8").value()};
  EXPECT_EQ(refusal(object), "allowed_cidrs is not supported by this version");
}

TEST_F(SupportedTest, AlgorithmsAreRefusedByName) {
  Pool pool;
  pool.lb_algorithm = Algorithm::maglev;
  EXPECT_EQ(refusal(pool),
            "lb_algorithm MAGLEV is not supported by this version (supported: ROUND_ROBIN)");
}

TEST_F(SupportedTest, ForwardingModesAreRefusedByName) {
  Pool pool;
  pool.forwarding_mode = ForwardingMode::dsr;
  EXPECT_EQ(refusal(pool),
            "forwarding_mode dsr is not supported by this version (supported: fullnat)");
}

TEST_F(SupportedTest, ModesInWhichMembersGetNoProxyHeaderAreRefusedByName) {
  few_.forwarding_modes = Supported{}.forwarding_modes;
  Pool pool;
  pool.protocol = Protocol::proxyv2;
  pool.forwarding_mode = ForwardingMode::dsr;
  EXPECT_EQ(refusal(pool),
            "protocol PROXYV2 with forwarding_mode dsr is not supported by this version "
            "(supported: fullnat)");
  pool.forwarding_mode = ForwardingMode::fullnat;
  after_ = before_;
  EXPECT_EQ(refusal(pool), "accepted");
}

TEST_F(SupportedTest, PersistenceIsRefused) {
  Pool pool;
  pool.session_persistence = SessionPersistence::source_ip;
  EXPECT_EQ(refusal(pool), "session_persistence is not supported by this version");
}

TEST_F(SupportedTest, MonitorTypesAreRefusedByName) {
  HealthMonitor monitor;
  monitor.pool_id = pool_;
  monitor.type = MonitorType::ping;
  EXPECT_EQ(refusal(monitor), "type PING is not supported by this version (supported: HTTP, TCP)");
}

TEST(NamesOfChecks, AreWords) {
  for (const auto* good : {"a", "9", "deep-check_2.sh", "A"}) EXPECT_TRUE(is_name_of_check(good));
  for (const auto* bad : {"", "-c", ".", "../x", "/bin/sh", "a b", "a=b", "a\n", "\xc3\xa4"})
    EXPECT_FALSE(is_name_of_check(bad)) << bad;
  EXPECT_TRUE(is_name_of_check(std::string(max_check_name_length, 'x')));
  EXPECT_FALSE(is_name_of_check(std::string(max_check_name_length + 1, 'x')));
}

TEST_F(SupportedTest, Ipv6IsRefused) {
  LoadBalancer load_balancer;
  load_balancer.vip_address = ip("2001:db8::16");
  EXPECT_EQ(refusal(load_balancer),
            "IPv6 VIPs (2001:db8::16) are not supported by this version; give an IPv4 address");
}

TEST_F(SupportedTest, AMemberOfAnotherIpVersionThanTheVipIsRefused) {
  few_.ipv6 = true;
  Member member;
  member.pool_id = pool_;
  member.address = ip("2001:db8::4");
  member.protocol_port = 80;
  few_.other_version = false;
  const std::string why = "member 2001:db8::4 and VIP 10.0.0.16 are of different IP versions";
  EXPECT_EQ(refusal(member), why);
}

TEST_F(SupportedTest, AMemberOfAnotherIpVersionNeedsASourceAndFullnat) {
  few_ = Supported();
  Member member;
  member.pool_id = pool_;
  member.address = ip("2001:db8::4");
  member.protocol_port = 80;
  const std::string why = "member 2001:db8::4 and VIP 10.0.0.16 are of different IP versions";
  EXPECT_EQ(refusal(member),
            why +
                ": give the load balancer an IPv6 address from which the member is "
                "reached (snat_addresses)");
  after_.load_balancers.change(lb_)->snat_addresses = {ip("2001:db8::18")};
  auto with = after_;
  EXPECT_TRUE(check_supported(few_, before_, with));
  const auto refused = [&] { return check_supported(few_, before_, with).error().message; };
  with.pools.change(pool_)->forwarding_mode = ForwardingMode::dnat;
  EXPECT_THAT(refused(),
              testing::EndsWith(why + ", which forwarding_mode dnat can't translate; fullnat can"));
  with.pools.change(pool_)->forwarding_mode = ForwardingMode::fullnat;
  with.pools.change(pool_)->protocol = Protocol::proxyv2;
  EXPECT_THAT(refused(),
              testing::EndsWith(why + ", which is not possible in pools of protocol PROXYV2"));
}

TEST_F(SupportedTest, MembersOfBothIpVersionsSideBySideNeedFullnat) {
  few_ = Supported();
  after_.pools.change(pool_)->mixed_versions = true;
  EXPECT_TRUE(check_supported(few_, before_, after_));
  after_.pools.change(pool_)->forwarding_mode = ForwardingMode::dnat;
  EXPECT_THAT(check_supported(few_, before_, after_).error().message,
              testing::EndsWith("mixed_versions with protocol TCP and forwarding_mode dnat: give a "
                                "TCP or UDP pool forwarding_mode fullnat, or mixed_versions "
                                "false"));
}

TEST_F(SupportedTest, TheLastSourceTowardAMemberOfAnotherIpVersionStays) {
  few_ = Supported();
  Member member;
  member.id = Uuid{9};
  member.pool_id = pool_;
  member.address = ip("2001:db8::4");
  member.protocol_port = 80;
  after_.load_balancers.change(lb_)->snat_addresses = {ip("2001:db8::18"), ip("2001:db8::19")};
  after_.members.put(member);
  const auto with = after_;
  const auto refusal_of = [&](std::vector<IpAddress> sources) {
    auto changed = with;
    changed.load_balancers.change(lb_)->snat_addresses = std::move(sources);
    const auto ok = check_supported(few_, with, changed);
    return ok ? std::string() : ok.error().message;
  };
  EXPECT_EQ(refusal_of({ip("2001:db8::19")}), "");
  EXPECT_THAT(refusal_of({}), testing::EndsWith("member 2001:db8::4 and VIP 10.0.0.16 are of "
                                                "different IP versions: give the load balancer an "
                                                "IPv6 address from which the member is reached "
                                                "(snat_addresses)"));
}

TEST_F(SupportedTest, AnSctpMemberOnAnotherPortThanItsListenerIsRefused) {
  few_ = Supported();
  Pool pool;
  pool.load_balancer_id = lb_;
  pool.protocol = Protocol::sctp;
  const auto pool_id = add(after_, pool, std::nullopt, {}).value();
  auto object = listener(Protocol::sctp);
  object.default_pool_id = pool_id;
  const auto listener_id = add(after_, object, {}).value();
  Member member;
  member.pool_id = pool_id;
  member.address = ip("10.0.0.4");
  member.protocol_port = 80;
  ASSERT_TRUE(add(after_, member, {}));
  ASSERT_TRUE(check_supported(few_, before_, after_));
  member.protocol_port = 81;
  EXPECT_EQ(refusal(member), "SCTP ports cannot be translated: listener " + to_string(listener_id) +
                                 " has port 80, member 10.0.0.4 has 81; give both the same");
}

TEST_F(SupportedTest, SctpMembersOfARangeKeepThePort) {
  few_ = Supported();
  Pool pool;
  pool.load_balancer_id = lb_;
  pool.protocol = Protocol::sctp;
  auto object = listener(Protocol::sctp);
  object.protocol_port_range = 90;
  object.default_pool_id = add(after_, pool, std::nullopt, {}).value();
  const auto listener_id = add(after_, object, {}).value();
  Member member;
  member.pool_id = *object.default_pool_id;
  member.address = ip("10.0.0.4");
  ASSERT_TRUE(add(after_, member, {}));
  ASSERT_TRUE(check_supported(few_, before_, after_));
  member.protocol_port = 80;
  EXPECT_EQ(refusal(member), "SCTP ports cannot be translated: listener " + to_string(listener_id) +
                                 " has port 80-90, member 10.0.0.4 has 80; give both the same, "
                                 "which is port 0 of the member");
}

TEST_F(SupportedTest, MoreRangesThanTheDataPlaneHasRoomForAreRefused) {
  few_ = Supported();
  few_.room.port_ranges = 2;
  for (const std::uint16_t first : {1000, 2000}) {
    auto object = listener(Protocol::tcp);
    object.protocol_port = first;
    object.protocol_port_range = first + 9;
    ASSERT_TRUE(add(after_, object, {}));
    ASSERT_TRUE(check_supported(few_, before_, after_));
  }
  auto object = listener(Protocol::udp);
  object.protocol_port_range = 90;
  ASSERT_TRUE(add(after_, object, {}));
  EXPECT_TRUE(check_supported(few_, before_, after_)) << "of another protocol";
  object = listener(Protocol::tcp);
  object.protocol_port = 3000;
  object.protocol_port_range = 3009;
  ASSERT_TRUE(add(after_, object, {}));
  const auto refused = check_supported(few_, before_, after_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(),
            "Quota has been met for resources: Listener (the data plane has room for 2 ranges of "
            "ports for each load balancer and protocol)");
}

TEST_F(SupportedTest, MoreListenersThanALoadBalancersBankHasRoomForAreRefused) {
  few_ = Supported();
  std::size_t most = 1;
  few_.room.listeners_of = [&](const Uuid& load_balancer) {
    EXPECT_EQ(load_balancer, lb_);
    return most;
  };
  ASSERT_TRUE(add(after_, listener(Protocol::tcp), {}));
  ASSERT_TRUE(check_supported(few_, before_, after_));
  before_ = after_;
  ASSERT_TRUE(add(after_, listener(Protocol::udp), {}));
  const auto refused = check_supported(few_, before_, after_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::forbidden);
  EXPECT_EQ(refused.error().text(),
            "Quota has been met for resources: Listener (the data plane has room for 1 listeners "
            "of this load balancer)");
  most = 0;  // others have come into its bank
  auto changed = before_.load_balancers.at(lb_);
  changed.name = "renamed";
  ASSERT_TRUE(replace(before_, changed, {}));
  EXPECT_TRUE(check_supported(few_, before_, before_)) << "what is there stays";
}

TEST_F(SupportedTest, AStepChecksAFewObjectsHoweverManyChanged) {
  constexpr std::size_t most = 10;
  few_ = Supported();
  std::size_t checked = 0;
  few_.room.listeners_of = [&](const Uuid&) { return ++checked, 200; };
  for (std::uint16_t port = 1; port <= 100; ++port) {
    auto object = listener(Protocol::tcp);
    object.protocol_port = port;
    ASSERT_TRUE(add(after_, object, {}));
  }
  SupportCheck check(few_, before_, after_);
  for (bool done = false; !done;) {
    const auto before = checked;
    done = check.step(most).value();
    EXPECT_LE(checked, before + most);
  }
  EXPECT_EQ(checked, 100U);
}

TEST_F(SupportedTest, WhatWasThereBeforeIsNotAskedAgain) {
  ASSERT_TRUE(add(before_, listener(Protocol::udp), {}));
  after_ = before_;
  auto changed = after_.load_balancers.at(lb_);
  changed.name = "renamed";
  ASSERT_TRUE(replace(after_, changed, {}));
  EXPECT_TRUE(check_supported(few_, before_, after_));
}

}  // namespace
}  // namespace sluice::model
