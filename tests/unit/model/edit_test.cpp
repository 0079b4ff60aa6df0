#include "model/edit.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "model/names.hpp"

namespace sluice::model {
namespace {

IpAddress ip(const char* text) {
  return boost::asio::ip::make_address(text);
}

// The walkthrough's objects: a load balancer, a listener with a default pool, one member.
class Edit : public testing::Test {
 protected:
  Edit() {
    LoadBalancer load_balancer;
    load_balancer.vip_address = ip("10.0.0.16");
    load_balancer.project_id = "walkthrough";
    lb = add(model, load_balancer, now).value();
    listener = add(model, listener_on(443), now).value();
    pool = add(model, Pool{}, listener, now).value();
    member = add(model, member_at("10.0.0.4", 443), now).value();
    settle();
  }

  // Does what the controller does once the data plane has everything.
  void settle() {
    const auto all = [](auto& objects) {
      const auto before = objects;
      for (const auto& [id, object] : before) {
        objects.change(id)->provisioning_status = ProvisioningStatus::active;
      }
    };
    all(model.load_balancers);
    all(model.listeners);
    all(model.pools);
    all(model.members);
    all(model.health_monitors);
    all(model.floating_ips);
  }

  Listener listener_on(std::uint16_t port) const {
    Listener object;
    object.load_balancer_id = lb;
    object.protocol_port = port;
    return object;
  }

  Member member_at(const char* address, std::uint16_t port) const {
    Member object;
    object.pool_id = pool;
    object.address = ip(address);
    object.protocol_port = port;
    return object;
  }

  HealthMonitor monitor() const {
    HealthMonitor object;
    object.pool_id = pool;
    object.delay_seconds = 60;
    object.timeout_seconds = 20;
    object.max_retries = 2;
    return object;
  }

  FloatingIp floating_ip(const char* address) const {
    FloatingIp object;
    object.address = ip(address);
    object.load_balancer_id = lb;
    return object;
  }

  // The edit is refused with this error and leaves the model as it was.
  template <typename T>
  void refused(Result<T> result, ErrorKind kind, const std::string& text) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, kind);
    EXPECT_EQ(result.error().message, text);
  }

  Timestamp now{std::chrono::microseconds(1'530'000'000'123'456)};
  Timestamp later = now + std::chrono::seconds(5);
  Model model;
  Uuid lb, listener, pool, member;
};

TEST_F(Edit, ANewObjectHasAnIdAProjectAndIsPendingWithEverythingAboveIt) {
  const auto id = add(model, member_at("10.0.0.6", 443), later).value();
  const auto& created = model.members.at(id);
  EXPECT_EQ(created.id, id);
  EXPECT_EQ(created.project_id, "walkthrough");
  EXPECT_EQ(created.created_at, later);
  EXPECT_EQ(created.updated_at, std::nullopt);
  EXPECT_EQ(created.provisioning_status, ProvisioningStatus::pending_create);
  EXPECT_EQ(model.pools.at(pool).provisioning_status, ProvisioningStatus::pending_update);
  EXPECT_EQ(model.listeners.at(listener).provisioning_status, ProvisioningStatus::pending_update);
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_status, ProvisioningStatus::pending_update);
  EXPECT_EQ(model.load_balancers.at(lb).updated_at, std::nullopt);
  EXPECT_EQ(model.members.at(member).provisioning_status, ProvisioningStatus::active);
}

TEST_F(Edit, AReplacedObjectKeepsItsIdentityAndTellsWhenItChanged) {
  auto changed = model.members.at(member);
  changed.weight = 5;
  changed.created_at = later;
  changed.project_id = "another";
  ASSERT_TRUE(replace(model, changed, later));
  const auto& after = model.members.at(member);
  EXPECT_EQ(after.weight, 5);
  EXPECT_EQ(after.created_at, now);
  EXPECT_EQ(after.project_id, "walkthrough");
  EXPECT_EQ(after.updated_at, later);
  EXPECT_EQ(after.provisioning_status, ProvisioningStatus::pending_update);
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_status, ProvisioningStatus::pending_update);
}

TEST_F(Edit, ALoadBalancerInErrorTakesChanges) {
  model.load_balancers.change(lb)->provisioning_status = ProvisioningStatus::error;
  model.load_balancers.change(lb)->provisioning_error = "members: map is full";
  ASSERT_TRUE(add(model, member_at("10.0.0.6", 443), later));
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_status, ProvisioningStatus::pending_update);
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_error, "");
}

TEST_F(Edit, ASecondListenerOnThePortIsAConflict) {
  refused(add(model, listener_on(443), now), ErrorKind::conflict,
          "Another Listener on this Load Balancer is already using protocol TCP and "
          "protocol_port 443");
  EXPECT_TRUE(add(model, listener_on(80), now));
}

TEST_F(Edit, RangesOfPortsExcludeEachOtherAndOthersInThem) {
  const auto range = [&](std::uint16_t first, std::uint16_t last) {
    auto object = listener_on(first);
    object.protocol_port_range = last;
    return object;
  };
  auto passive = range(30000, 30099);
  passive.name = "passive";
  ASSERT_TRUE(add(model, passive, now));
  for (const auto& other : {listener_on(30000), listener_on(30099), range(29000, 30000),
                            range(30099, 31000), range(30010, 30020), range(1, 65535)}) {
    auto outcome = add(model, other, now);
    if (other.protocol_port == 1) {  // the fixture's listener on port 443 is in it, too
      EXPECT_EQ(outcome.error().kind, ErrorKind::conflict);
      continue;
    }
    refused(std::move(outcome), ErrorKind::conflict,
            "Another Listener on this Load Balancer, passive, is already using protocol TCP and "
            "protocol_port 30000-30099");
  }
  refused(add(model, range(440, 450), now), ErrorKind::conflict,
          "Another Listener on this Load Balancer, " + to_string(listener) +
              ", is already using protocol TCP and protocol_port 443");
  EXPECT_TRUE(add(model, range(30100, 30100), now));
  EXPECT_TRUE(add(model, range(444, 29999), now));
  auto datagrams = range(1, 65535);
  datagrams.protocol = Protocol::udp;
  EXPECT_TRUE(add(model, datagrams, now)) << "of another protocol";
  refused(add(model, range(81, 80), now), ErrorKind::invalid,
          "Invalid input for field/attribute protocol_port_range. Value: '80'. Value is the last "
          "port of the range, which begins with protocol_port 81.");
}

TEST_F(Edit, AMemberThatKeepsTheClientsPortIsProbedOnAPortOfItsOwn) {
  const std::string sentence =
      "Validation failure: Member 10.0.0.6 keeps the client's port (protocol_port 0), so the TCP "
      "health monitor of its pool needs its monitor_port.";
  auto keeps = member_at("10.0.0.6", 0);
  const auto id = add(model, keeps, now).value();
  refused(add(model, monitor(), now), ErrorKind::invalid, sentence);
  auto probed = model.members.at(id);
  probed.monitor_port = 21;
  ASSERT_TRUE(replace(model, probed, now));
  ASSERT_TRUE(add(model, monitor(), now));
  probed.monitor_port.reset();
  const auto taken_away = replace(model, probed, now);
  ASSERT_FALSE(taken_away);
  EXPECT_EQ(taken_away.error().message, sentence);
  keeps.address = ip("10.0.0.7");
  EXPECT_FALSE(add(model, keeps, now));
  keeps.monitor_port = 21;
  EXPECT_TRUE(add(model, keeps, now));
}

TEST_F(Edit, DatagramsAreScheduledOnlyWhereMembersSeeTheirClients) {
  auto scheduled = listener_on(514);
  scheduled.udp_scheduling = UdpScheduling::packet;
  refused(
      add(model, scheduled, now), ErrorKind::invalid,
      "Invalid input for field/attribute udp_scheduling. Value: 'packet'. Only datagrams of UDP "
      "can be scheduled one by one.");
  scheduled.protocol = Protocol::udp;
  const auto id = add(model, scheduled, now).value();
  const auto sentence = [&](const char* mode) {
    return "Validation failure: The udp_scheduling packet of listener " + to_string(id) +
           " is not possible with forwarding_mode " + mode +
           ": the members don't see their clients, and without a flow nothing tells to whom their "
           "answers go.";
  };
  Pool udp;
  udp.protocol = Protocol::udp;
  refused(add(model, udp, id, now), ErrorKind::invalid, sentence("fullnat"));
  udp.forwarding_mode = ForwardingMode::gue;
  const auto pool_id = add(model, udp, id, now).value();
  auto changed = model.pools.at(pool_id);
  changed.forwarding_mode = ForwardingMode::dnat;
  EXPECT_TRUE(replace(model, changed, now));
  changed.forwarding_mode = ForwardingMode::fullnat;
  const auto outcome = replace(model, changed, now);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message, sentence("fullnat"));
  auto sessions = model.listeners.at(id);
  sessions.udp_scheduling = UdpScheduling::session;
  ASSERT_TRUE(replace(model, sessions, now));
  ASSERT_TRUE(replace(model, changed, now));
  sessions.udp_scheduling = UdpScheduling::packet;
  EXPECT_FALSE(replace(model, sessions, now));
}

TEST_F(Edit, ProbesAskForVipsOnlyWhereMembersHoldThem) {
  const auto sentence = [](const std::string& what) {
    return "Validation failure: probe_vip is not possible with " + what;
  };
  auto probing = monitor();
  probing.probe_vip = true;
  refused(add(model, probing, now), ErrorKind::invalid,
          sentence("forwarding_mode fullnat: its members get no packets for the VIP."));
  auto changed = model.pools.at(pool);
  changed.forwarding_mode = ForwardingMode::dsr;
  ASSERT_TRUE(replace(model, changed, now));
  const auto id = add(model, probing, now).value();
  changed = model.pools.at(pool);
  changed.forwarding_mode = ForwardingMode::dnat;
  refused(replace(model, changed, now), ErrorKind::invalid,
          sentence("forwarding_mode dnat: its members get no packets for the VIP."));
  ASSERT_TRUE(remove_health_monitor(model, id, now));
  probing.type = MonitorType::external;
  probing.check = "deep";
  refused(add(model, probing, now), ErrorKind::invalid,
          sentence("a health monitor of type EXTERNAL."));
}

TEST_F(Edit, APingNeedsNoPort) {
  ASSERT_TRUE(add(model, member_at("10.0.0.6", 0), now));
  auto ping = monitor();
  ping.type = MonitorType::ping;
  EXPECT_TRUE(add(model, ping, now));
}

TEST_F(Edit, ThePortOfAnotherLoadBalancerIsFree) {
  LoadBalancer second;
  second.vip_address = ip("10.0.0.17");
  auto on_second = listener_on(443);
  on_second.load_balancer_id = add(model, second, now).value();
  EXPECT_TRUE(add(model, on_second, now));
}

TEST_F(Edit, TheSameMemberTwiceIsAConflict) {
  refused(add(model, member_at("10.0.0.4", 443), now), ErrorKind::conflict,
          "Another member on this pool is already using ip 10.0.0.4 on protocol_port 443");
  EXPECT_TRUE(add(model, member_at("10.0.0.4", 80), now));
}

TEST_F(Edit, ASecondDefaultPoolOrMonitorIsAConflict) {
  refused(add(model, Pool{}, listener, now), ErrorKind::conflict,
          "This listener already has a default pool");
  ASSERT_TRUE(add(model, monitor(), now));
  refused(add(model, monitor(), now), ErrorKind::conflict,
          "This pool already has a health monitor");
}

TEST_F(Edit, APoolCanBeTheDefaultOfSeveralListenersOfItsLoadBalancer) {
  auto second = listener_on(80);
  second.default_pool_id = pool;
  const auto id = add(model, second, now).value();
  settle();
  ASSERT_TRUE(add(model, member_at("10.0.0.6", 443), later));
  EXPECT_EQ(model.listeners.at(id).provisioning_status, ProvisioningStatus::pending_update);
  EXPECT_EQ(model.listeners.at(listener).provisioning_status, ProvisioningStatus::pending_update);
}

TEST_F(Edit, APoolOfAnotherLoadBalancerIsNotFound) {
  LoadBalancer second;
  second.vip_address = ip("10.0.0.17");
  auto on_second = listener_on(80);
  on_second.load_balancer_id = add(model, second, now).value();
  on_second.default_pool_id = pool;
  refused(add(model, on_second, now), ErrorKind::not_found,
          "Pool " + to_string(pool) + " not found.");
}

TEST_F(Edit, UnknownIdsAreNotFoundByTheServicesNames) {
  const auto id = new_uuid();
  const auto text = [&](const char* kind) {
    return std::string(kind) + " " + to_string(id) + " not found.";
  };
  refused(remove_load_balancer(model, id, false, now), ErrorKind::not_found, text("Load Balancer"));
  refused(remove_listener(model, id, now), ErrorKind::not_found, text("Listener"));
  refused(remove_pool(model, id, now), ErrorKind::not_found, text("Pool"));
  refused(remove_member(model, id, member, now), ErrorKind::not_found, text("Pool"));
  refused(remove_member(model, pool, id, now), ErrorKind::not_found, text("Member"));
  refused(remove_health_monitor(model, id, now), ErrorKind::not_found, text("Health Monitor"));
  refused(remove_floating_ip(model, id, now), ErrorKind::not_found, text("Floating IP"));
  refused(add(model, Pool{}, id, now), ErrorKind::not_found, text("Listener"));
}

TEST_F(Edit, AMemberOfAnotherPoolIsNotFoundInThisOne) {
  Pool other;
  other.load_balancer_id = lb;
  const auto other_id = add(model, other, std::nullopt, now).value();
  refused(remove_member(model, other_id, member, now), ErrorKind::not_found,
          "Member " + to_string(member) + " not found.");
}

TEST_F(Edit, OutOfRangeAttributesAreNamedWithTheirValue) {
  auto heavy = member_at("10.0.0.6", 443);
  heavy.weight = 257;
  refused(add(model, heavy, now), ErrorKind::invalid,
          "Invalid input for field/attribute weight. Value: '257'. "
          "Value should be lower or equal to 256");
  refused(add(model, listener_on(0), now), ErrorKind::invalid,
          "Invalid input for field/attribute protocol_port. Value: '0'. "
          "Value should be greater or equal to 1");
  auto hasty = monitor();
  hasty.max_retries = 11;
  refused(add(model, hasty, now), ErrorKind::invalid,
          "Invalid input for field/attribute max_retries. Value: '11'. "
          "Value should be lower or equal to 10");
  auto limited = listener_on(80);
  limited.connection_limit = -2;
  refused(add(model, limited, now), ErrorKind::invalid,
          "Invalid input for field/attribute connection_limit. Value: '-2'. "
          "Value should be greater or equal to -1");
}

TEST_F(Edit, AddressesThatNoMemberCanHaveAreRefused) {
  for (const auto* address :
       {"169.254.169.254", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::1",
        "ff02::1", "fe80::1", "::ffff:10.0.0.4"}) {
    refused(add(model, member_at(address, 80), now), ErrorKind::invalid,
            std::string(address) + " is not a valid option for member address");
  }
  refused(add(model, member_at("10.0.0.16", 80), now), ErrorKind::invalid,
          "10.0.0.16 is not a valid option for member address: it belongs to Load Balancer " +
              to_string(lb));
}

TEST_F(Edit, AVipIsAUnicastAddressThatNobodyElseHas) {
  LoadBalancer second;
  second.vip_address = ip("224.0.0.1");
  refused(add(model, second, now), ErrorKind::invalid,
          "Invalid input for field/attribute vip_address. Value: '224.0.0.1'. "
          "Value should be a unicast address");
  second.vip_address = ip("10.0.0.16");
  refused(add(model, second, now), ErrorKind::conflict,
          "IP address 10.0.0.16 is already in use by Load Balancer " + to_string(lb));
  second.vip_address = ip("10.0.0.4");
  refused(add(model, second, now), ErrorKind::conflict,
          "IP address 10.0.0.4 is already in use by Member " + to_string(member));

  const auto fip = add(model, floating_ip("203.0.113.9"), now).value();
  second.vip_address = ip("203.0.113.9");
  refused(add(model, second, now), ErrorKind::conflict,
          "IP address 203.0.113.9 is already in use by Floating IP " + to_string(fip));
}

TEST_F(Edit, ASnatAddressIsAUnicastAddressThatNobodyElseHas) {
  const auto with = [&](const std::vector<std::string>& addresses) {
    auto object = model.load_balancers.at(lb);
    object.snat_addresses.clear();
    for (const auto& address : addresses) object.snat_addresses.push_back(ip(address.c_str()));
    const auto replaced = replace(model, object, now);
    return replaced ? std::string() : replaced.error().message;
  };
  EXPECT_EQ(with({"10.0.0.18", "2001:db8::18"}), "");
  EXPECT_EQ(with({"10.0.0.18", "10.0.0.20"}), "") << "one that it has, and another one";
  EXPECT_EQ(with({"127.0.0.1"}),
            "Invalid input for field/attribute snat_addresses. Value: '127.0.0.1'. "
            "Value should be a unicast address");
  for (const auto* twice : {"10.0.0.18", "10.0.0.16"}) {
    EXPECT_EQ(with({"10.0.0.18", twice}), "Validation failure: SNAT address " + std::string(twice) +
                                              " is given more than once, or is a VIP, too.");
  }
  EXPECT_EQ(with({"10.0.0.4"}),
            "IP address 10.0.0.4 is already in use by Member " + to_string(member));
  std::vector<std::string> many;
  for (int i = 1; i <= 17; ++i) many.push_back("10.0.1." + std::to_string(i));
  EXPECT_EQ(with(many),
            "Validation failure: a load balancer has at most 16 SNAT addresses of an IP version.");
  many.pop_back();
  EXPECT_EQ(with(many), "");
  // Nobody else can have them.
  const auto taken = "IP address 10.0.1.1 is already in use by Load Balancer " + to_string(lb);
  LoadBalancer other;
  other.vip_address = ip("10.0.1.1");
  refused(add(model, other, now), ErrorKind::conflict, taken);
  other.vip_address = ip("10.0.0.90");
  other.snat_addresses = {ip("10.0.1.1")};
  refused(add(model, other, now), ErrorKind::conflict, taken);
  refused(add(model, floating_ip("10.0.1.1"), now), ErrorKind::conflict, taken);
  refused(add(model, member_at("10.0.1.1", 80), now), ErrorKind::invalid,
          "10.0.1.1 is not a valid option for member address: it belongs to Load Balancer " +
              to_string(lb));
}

TEST_F(Edit, AFloatingIpCanMoveToAnotherLoadBalancerAndBothChange) {
  const auto id = add(model, floating_ip("203.0.113.9"), now).value();
  LoadBalancer second;
  second.vip_address = ip("10.0.0.17");
  const auto second_id = add(model, second, now).value();
  settle();
  auto moved = model.floating_ips.at(id);
  moved.load_balancer_id = second_id;
  ASSERT_TRUE(replace(model, moved, later));
  EXPECT_EQ(model.floating_ips.at(id).load_balancer_id, second_id);
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_status, ProvisioningStatus::pending_update);
  EXPECT_EQ(model.load_balancers.at(second_id).provisioning_status,
            ProvisioningStatus::pending_update);
}

TEST_F(Edit, WhatCannotChangeAfterCreationIsRefusedByName) {
  auto moved = model.listeners.at(listener);
  moved.protocol_port = 8443;
  refused(replace(model, moved, now), ErrorKind::invalid,
          "Listener " + to_string(listener) + ": protocol_port cannot be changed after creation");
  auto renumbered = model.members.at(member);
  renumbered.address = ip("10.0.0.7");
  refused(replace(model, renumbered, now), ErrorKind::invalid,
          "Member " + to_string(member) + ": address cannot be changed after creation");
  auto readdressed = model.load_balancers.at(lb);
  readdressed.vip_address = ip("10.0.0.18");
  refused(replace(model, readdressed, now), ErrorKind::invalid,
          "Load Balancer " + to_string(lb) + ": vip_address cannot be changed after creation");
}

TEST_F(Edit, MonitorsAreCheckedForWhatAProbeWouldSend) {
  auto bad_path = monitor();
  bad_path.url_path = "health";
  refused(add(model, bad_path, now), ErrorKind::invalid,
          "Invalid input for field/attribute url_path. Value: 'health'. "
          "Value must be a valid URL Path string");
  bad_path.url_path = "/health\r\nX: y";
  EXPECT_FALSE(add(model, bad_path, now));
  for (const auto* codes : {"2xx", "200-204,301", "", "20", "200-"}) {
    auto bad_codes = monitor();
    bad_codes.expected_codes = codes;
    EXPECT_FALSE(add(model, bad_codes, now)) << codes;
  }
  auto host_without_version = monitor();
  host_without_version.domain_name = "www.example.org";
  refused(add(model, host_without_version, now), ErrorKind::invalid,
          "Validation failure: 'http_version' must be specified when 'domain_name' is provided.");
  host_without_version.http_version = "1.1";
  host_without_version.expected_codes = "200,202 , 204";
  EXPECT_TRUE(add(model, host_without_version, now));
}

TEST_F(Edit, ALoadBalancerWithChildrenGoesOnlyByCascade) {
  ASSERT_TRUE(add(model, monitor(), now));
  ASSERT_TRUE(add(model, floating_ip("203.0.113.9"), now));
  const auto before = model;
  refused(
      remove_load_balancer(model, lb, false, now), ErrorKind::invalid,
      "Validation failure: Cannot delete Load Balancer " + to_string(lb) + " - it has children");
  EXPECT_EQ(model, before);
  ASSERT_TRUE(remove_load_balancer(model, lb, true, now));
  const auto reserved = std::exchange(model.floating_ips, {});
  EXPECT_EQ(model, Model{});
  ASSERT_EQ(reserved.size(), 1U) << "the address stays reserved";
  EXPECT_FALSE(reserved.begin()->second.load_balancer_id);
}

TEST_F(Edit, TcpHttpAndHttpsShareTheirPortsAndUdpHasItsOwn) {
  Listener other;
  other.load_balancer_id = lb;
  other.protocol_port = 443;
  other.protocol = Protocol::https;
  refused(add(model, other, now), ErrorKind::conflict,
          "Another Listener on this Load Balancer is already using protocol TCP and protocol_port "
          "443");
  for (const auto protocol : {Protocol::udp, Protocol::sctp}) {
    other.protocol = protocol;
    EXPECT_TRUE(add(model, other, now)) << name(protocol);
  }
}

TEST_F(Edit, APoolsProtocolFitsItsListeners) {
  const auto fits = [&](Protocol front, Protocol back) {
    auto copy = model;
    Listener object;
    object.load_balancer_id = lb;
    object.protocol_port = 81;
    object.protocol = front;
    const auto id = add(copy, object, now).value();
    Pool behind;
    behind.protocol = back;
    return add(copy, behind, id, now).has_value();
  };
  EXPECT_TRUE(fits(Protocol::tcp, Protocol::tcp));
  EXPECT_TRUE(fits(Protocol::tcp, Protocol::http));
  EXPECT_TRUE(fits(Protocol::tcp, Protocol::https));
  EXPECT_TRUE(fits(Protocol::http, Protocol::http));
  EXPECT_TRUE(fits(Protocol::https, Protocol::tcp));
  EXPECT_TRUE(fits(Protocol::udp, Protocol::udp));
  EXPECT_TRUE(fits(Protocol::sctp, Protocol::sctp));
  for (const auto front : {Protocol::tcp, Protocol::http, Protocol::https})
    EXPECT_TRUE(fits(front, Protocol::proxyv2));
  for (const auto front : {Protocol::udp, Protocol::sctp})
    EXPECT_FALSE(fits(front, Protocol::proxyv2));
  EXPECT_FALSE(fits(Protocol::http, Protocol::tcp));
  EXPECT_FALSE(fits(Protocol::http, Protocol::https));
  EXPECT_FALSE(fits(Protocol::tcp, Protocol::udp));
  EXPECT_FALSE(fits(Protocol::udp, Protocol::tcp));
  EXPECT_FALSE(fits(Protocol::udp, Protocol::sctp));
}

TEST_F(Edit, AListenersClientsAreOfTheVipsFamily) {
  auto object = model.listeners.at(listener);
  object.allowed_cidrs = {parse_ip_network("10.0.0.0/8").value()};
  EXPECT_TRUE(replace(model, object, later));
  object.allowed_cidrs = {parse_ip_network("2001:db8::/32").value()};
  refused(replace(model, object, later), ErrorKind::invalid,
          "Validation failure: CIDR 2001:db8::/32 IP version incompatible with VIP 10.0.0.16 IP "
          "version.");
}

TEST_F(Edit, APersistencesTimeoutAndGranularityAreForUdpAndSctp) {
  auto object = model.pools.at(pool);
  object.session_persistence = SessionPersistence::source_ip;
  EXPECT_TRUE(replace(model, object, later));
  object.persistence_timeout_seconds = 60;
  refused(replace(model, object, later), ErrorKind::invalid,
          "Validation failure: persistence_timeout and persistence_granularity is only for UDP and "
          "SCTP protocol pools.");
}

TEST_F(Edit, APersistencesGranularityIsANetmask) {
  auto object = model.pools.at(pool);
  object.session_persistence = SessionPersistence::source_ip;
  object.persistence_granularity = ip("255.0.255.0");
  refused(replace(model, object, later), ErrorKind::invalid,
          "Invalid input for field/attribute persistence_granularity. Value: '255.0.255.0'. Value "
          "should be a netmask, such as 255.255.255.0");
}

TEST_F(Edit, AFloatingIpIsReservedBeforeItIsAttachedAndAfterwards) {
  auto object = floating_ip("203.0.113.9");
  object.load_balancer_id.reset();
  const auto id = add(model, object, now).value();
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_status, ProvisioningStatus::active);
  object = model.floating_ips.at(id);
  object.load_balancer_id = lb;
  ASSERT_TRUE(replace(model, object, later));
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_status, ProvisioningStatus::pending_update);
  settle();
  object.load_balancer_id.reset();
  ASSERT_TRUE(replace(model, object, later));
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_status, ProvisioningStatus::pending_update);
}

TEST_F(Edit, ALoadBalancerWithoutChildrenGoes) {
  ASSERT_TRUE(remove_pool(model, pool, now));
  ASSERT_TRUE(remove_listener(model, listener, now));
  ASSERT_TRUE(remove_load_balancer(model, lb, false, now));
  EXPECT_EQ(model, Model{});
}

TEST_F(Edit, ARemovedPoolTakesItsMembersAndMonitorAlongAndItsListenerStays) {
  ASSERT_TRUE(add(model, monitor(), now));
  settle();
  ASSERT_TRUE(remove_pool(model, pool, later));
  EXPECT_TRUE(model.members.empty());
  EXPECT_TRUE(model.health_monitors.empty());
  EXPECT_EQ(model.listeners.at(listener).default_pool_id, std::nullopt);
  EXPECT_EQ(model.listeners.at(listener).updated_at, later);
  EXPECT_EQ(model.listeners.at(listener).provisioning_status, ProvisioningStatus::pending_update);
}

TEST_F(Edit, ARemovedListenerLeavesItsPool) {
  ASSERT_TRUE(remove_listener(model, listener, now));
  EXPECT_TRUE(model.pools.contains(pool));
  EXPECT_EQ(model.load_balancers.at(lb).provisioning_status, ProvisioningStatus::pending_update);
}

TEST_F(Edit, ABusyLoadBalancerRefusesChangesToItAndBelowIt) {
  model.load_balancers.change(lb)->provisioning_status = ProvisioningStatus::pending_update;
  const auto child_text = "Load Balancer " + to_string(lb) + " is immutable and cannot be updated.";
  const auto own_text = "Invalid state PENDING_UPDATE of loadbalancer resource " + to_string(lb);

  auto after = model;
  ASSERT_TRUE(add(after, member_at("10.0.0.6", 443), later));
  refused(refuse_busy(model, after), ErrorKind::conflict, child_text);

  after = model;
  ASSERT_TRUE(remove_member(after, pool, member, later));
  refused(refuse_busy(model, after), ErrorKind::conflict, child_text);

  after = model;
  auto renamed = after.load_balancers.at(lb);
  renamed.name = "new";
  ASSERT_TRUE(replace(after, renamed, later));
  refused(refuse_busy(model, after), ErrorKind::conflict, own_text);

  after = model;
  ASSERT_TRUE(remove_load_balancer(after, lb, true, later));
  refused(refuse_busy(model, after), ErrorKind::conflict, own_text);
}

TEST_F(Edit, ABusyLoadBalancerDoesNotHinderOthersOrAnEditOfSeveralSteps) {
  model.load_balancers.change(lb)->provisioning_status = ProvisioningStatus::pending_update;
  auto after = model;
  LoadBalancer second;
  second.vip_address = ip("10.0.0.17");
  auto on_second = listener_on(80);
  on_second.load_balancer_id = add(after, second, now).value();
  const auto second_listener = add(after, on_second, now);
  ASSERT_TRUE(second_listener);
  ASSERT_TRUE(add(after, Pool{}, *second_listener, now));
  EXPECT_TRUE(refuse_busy(model, after));
}

TEST_F(Edit, AnIdleTimeAboveTheClockOfOneDirectionNeedsAPoolWhoseAnswersPass) {
  const auto with_idle = [&](std::uint32_t seconds) {
    auto object = model.listeners.at(listener);
    object.idle_timeout_seconds = seconds;
    return replace(model, object, later);
  };
  const auto in_mode = [&](ForwardingMode mode) {
    auto object = model.pools.at(pool);
    object.forwarding_mode = mode;
    return replace(model, object, later);
  };
  EXPECT_TRUE(with_idle(86'400));
  EXPECT_TRUE(in_mode(ForwardingMode::dnat));
  const auto refused = in_mode(ForwardingMode::dsr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(),
            "Validation failure: The idle_timeout 86400 of listener " + to_string(listener) +
                " is above 12600, the longest with forwarding_mode dsr: the answers of its members "
                "don't pass here, and one direction's clock tells no more.");
  EXPECT_TRUE(with_idle(12'600));
  EXPECT_TRUE(in_mode(ForwardingMode::ipip));
  EXPECT_FALSE(with_idle(12'601));
  auto resetting = model.listeners.at(listener);
  resetting.on_idle = IdleEnd::reset;
  EXPECT_FALSE(replace(model, resetting, later)) << "members' answers don't pass here";
  EXPECT_TRUE(in_mode(ForwardingMode::fullnat));
  EXPECT_TRUE(replace(model, resetting, later));
  EXPECT_FALSE(in_mode(ForwardingMode::ipip));
  resetting.on_idle = IdleEnd::forget;
  EXPECT_TRUE(replace(model, resetting, later));
  EXPECT_TRUE(in_mode(ForwardingMode::ipip));

  auto second = listener_on(80);
  second.idle_timeout_seconds = 12'601;
  second.default_pool_id = pool;
  EXPECT_FALSE(add(model, second, later));
  second.default_pool_id.reset();
  const auto added = add(model, second, later);
  ASSERT_TRUE(added);
  Pool direct;
  direct.forwarding_mode = ForwardingMode::dsr;
  EXPECT_FALSE(add(model, direct, *added, later));
}

TEST_F(Edit, ARefusedEditLeavesTheModelAsItWas) {
  const auto before = model;
  EXPECT_FALSE(add(model, member_at("10.0.0.4", 443), later));
  EXPECT_FALSE(add(model, listener_on(443), later));
  EXPECT_FALSE(add(model, Pool{}, listener, later));
  auto heavy = model.members.at(member);
  heavy.weight = 300;
  EXPECT_FALSE(replace(model, heavy, later));
  EXPECT_EQ(model, before);
}

}  // namespace
}  // namespace sluice::model
