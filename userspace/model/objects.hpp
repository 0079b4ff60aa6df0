// Objects: load balancer, listener, pool, member, health monitor and floating IP as plain values.
//
// Names, ranges and defaults are those of the OpenStack Load Balancer API v2. Provisioning status
// is stored with the object; operating status is derived (model/status.hpp) and not part of it.
// Objects refer to each other by id; Model keeps them all and knows no I/O.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.hpp"
#include "base/ip_network.hpp"
#include "base/persistent_map.hpp"
#include "base/uuid.hpp"
#include "model/table.hpp"

namespace sluice::model {

enum class ProvisioningStatus { active, error, pending_create, pending_update, pending_delete };
// The protocol of a listener or pool. HTTP and HTTPS are TCP to a load balancer that does not read
// the payload: see transport(). PROXYV2, of pools only, is TCP whose first bytes name the client.
enum class Protocol { tcp, udp, sctp, http, https, proxyv2 };
enum class Algorithm { round_robin, least_connections, source_ip, source_ip_port, maglev };
enum class ForwardingMode { fullnat, dnat, dsr, ipip, gue };
// When a node announces the VIPs to routers. healthy: not while it has no usable member and another
// live node has one.
enum class Announce { always, healthy };
enum class RefusalMode { drop, reset };  // reset: clients are told, by TCP RST or ICMP
// Of a listener's new connections: automatic while more than half of its half-open share is taken.
enum class IdleEnd { forget, reset };
enum class UdpScheduling { session, packet };  // packet: each datagram by itself, without a flow
enum class SynAuthentication { automatic, always, off };
enum class MemberDownMode { keep, reset };  // reset: its clients are told, if others can take over
enum class SessionPersistence { source_ip };  // the other types are cookies
// `external` runs a program that the node's configuration names.
enum class MonitorType { http, https, ping, tcp, tls_hello, udp_connect, sctp, external };

// The protocol on the wire: TCP, UDP or SCTP.
constexpr Protocol transport(Protocol protocol) {
  return protocol == Protocol::udp || protocol == Protocol::sctp ? protocol : Protocol::tcp;
}

// Says whether the monitor requests a page: only such monitors have a method, a path and expected
// codes.
constexpr bool asks_for_page(MonitorType type) {
  return type == MonitorType::http || type == MonitorType::https;
}

// Says whether members answer clients directly, past the load balancer.
constexpr bool answers_directly(ForwardingMode mode) {
  return mode == ForwardingMode::dsr || mode == ForwardingMode::ipip || mode == ForwardingMode::gue;
}

inline constexpr std::string_view default_provider = "sluice";
// The real service's names for its own provider. Its clients ask for them, so they are accepted
// here.
inline constexpr std::array<std::string_view, 2> provider_aliases = {"octavia", "amphora"};

// The attributes of every object.
struct Object {
  Uuid id{};
  std::string project_id;
  std::string name;
  bool admin_state_up = true;
  std::vector<std::string> tags;
  ProvisioningStatus provisioning_status = ProvisioningStatus::pending_create;
  std::string provisioning_error;  // why it is ERROR; empty otherwise
  Timestamp created_at{};
  std::optional<Timestamp> updated_at;

  bool operator==(const Object&) const = default;
};

// A further address of a load balancer, on another subnet of its VIP's network, mostly of the other
// IP version.
struct AdditionalVip {
  IpAddress address;
  std::optional<std::string> subnet_id;

  bool operator==(const AdditionalVip&) const = default;
};

struct LoadBalancer : Object {
  std::string description;
  // The provider's name as the request gave it: one of default_provider's aliases, or itself.
  std::string provider{default_provider};
  IpAddress vip_address;
  std::vector<AdditionalVip> additional_vips;
  // The sources that members of fullnat pools see, in place of the VIP of their IP version.
  std::vector<IpAddress> snat_addresses;
  Uuid vip_port_id{};  // names the VIP where the Networking API wants a port
  std::optional<std::string> vip_subnet_id;
  std::optional<std::string> vip_network_id;
  // The treatment of packets for its VIPs that match no listener and no connection.
  RefusalMode on_unmatched = RefusalMode::drop;
  Announce announce = Announce::always;
  // The data plane has refused a change, so the load balancer takes no other one until it is failed
  // over or deleted. An ERROR without a change leaves this false.
  bool change_failed = false;

  bool operator==(const LoadBalancer&) const = default;
};

// The API shows this if no data timeout was set, but it has no effect: users of the real service
// complain that it ends every connection after 50 silent seconds.
inline constexpr std::uint32_t default_data_timeout_ms = 50000;
// The API shows this if none was set, but then it has no effect: to time every SYN costs new
// connections a sixth more (bpf/connect_time.h).
inline constexpr std::uint32_t default_connect_timeout_ms = 5000;

struct Listener : Object {
  std::string description;
  Uuid load_balancer_id{};
  Protocol protocol = Protocol::tcp;
  std::uint16_t protocol_port = 0;                   // host byte order; of a range: the first one
  std::optional<std::uint16_t> protocol_port_range;  // the last one; unset: there is one port
  std::optional<Uuid> default_pool_id;
  std::vector<IpNetwork> allowed_cidrs;  // who may connect; empty: everybody
  std::int32_t connection_limit = -1;
  std::int32_t new_connection_limit = -1;  // per second and client address; -1: none
  RefusalMode on_no_member = RefusalMode::drop;
  SynAuthentication syn_authentication = SynAuthentication::automatic;  // TCP only
  UdpScheduling udp_scheduling = UdpScheduling::session;
  bool records = true;  // whether its connections are recorded, where the node records any
  IdleEnd on_idle = IdleEnd::forget;  // whether both ends are reset when the idle time is over; TCP
  std::optional<std::uint32_t> idle_timeout_seconds;  // for any protocol; unset: the usual one
  std::uint32_t timeout_client_data_ms = default_data_timeout_ms;
  std::uint32_t timeout_member_connect_ms = default_connect_timeout_ms;
  std::uint32_t timeout_member_data_ms = default_data_timeout_ms;
  std::uint32_t timeout_tcp_inspect_ms = 0;
  // Says whether the data timeouts have an effect. Those that were stored before they were enforced
  // have none until one of them is set again.
  bool data_timeouts_count = true;
  // Says whether timeout_member_connect was set, so that its default is a wish, too.
  bool connect_timeout_set = false;

  bool operator==(const Listener&) const = default;
};

// Says whether timeout_member_connect has an effect. What older versions stored has one unless it
// is the default.
constexpr bool connect_timeout_counts(const Listener& listener) {
  return listener.connect_timeout_set ||
         listener.timeout_member_connect_ms != default_connect_timeout_ms;
}

// The last port of a listener's range; of a listener with one port that one.
constexpr std::uint16_t last_port(const Listener& listener) {
  return listener.protocol_port_range.value_or(listener.protocol_port);
}

struct Pool : Object {
  std::string description;
  Uuid load_balancer_id{};
  Protocol protocol = Protocol::tcp;
  Algorithm lb_algorithm = Algorithm::round_robin;
  ForwardingMode forwarding_mode = ForwardingMode::fullnat;
  std::optional<SessionPersistence> session_persistence;
  // The persistence's timeout and mask, for UDP and SCTP pools only. Unset: 360 seconds, one
  // address.
  std::optional<std::uint32_t> persistence_timeout_seconds;
  std::optional<IpAddress> persistence_granularity;  // a mask: "255.255.255.0"
  // The treatment of connections to a member that is down.
  MemberDownMode on_member_down = MemberDownMode::reset;
  // The time that drained or disabled members keep their connections; unset: until these end.
  std::optional<std::uint32_t> drain_timeout_seconds;
  // The time in which the share of members that come back, or are new, grows from little to all;
  // unset or 0: they have it at once.
  std::optional<std::uint32_t> slow_start_seconds;
  // Members of another IP version than the client's serve it beside those of its own, not only when
  // there are no others.
  bool mixed_versions = false;

  bool operator==(const Pool&) const = default;
};

struct Member : Object {
  Uuid pool_id{};
  IpAddress address;
  std::uint16_t protocol_port = 0;  // 0: the port to which the client connected
  std::uint16_t weight = 1;         // 0..256; 0 drains
  bool backup = false;              // serves only while every other member is down
  std::optional<std::string> subnet_id;
  std::optional<IpAddress> monitor_address;
  std::optional<std::uint16_t> monitor_port;
  // The two addresses as they were typed, if that differs from their canonical form: clients
  // compare what they sent with what they are shown.
  std::string typed_address;
  std::string typed_monitor_address;
  // The connections that it may have when it gets another one; unset: any number. Others go to the
  // pool's other members.
  std::optional<std::uint32_t> max_connections;
  // The time at which the connections of a drained or disabled member are ended; unset: never.
  std::optional<Timestamp> drain_until;

  // Says whether its own settings allow new connections.
  bool takes_connections() const { return admin_state_up && weight > 0; }

  bool operator==(const Member&) const = default;
};

struct HealthMonitor : Object {
  Uuid pool_id{};
  MonitorType type = MonitorType::tcp;
  std::uint32_t delay_seconds = 0;
  std::uint32_t timeout_seconds = 0;
  std::uint32_t max_retries = 1;       // successes in a row to come up, 1..10
  std::uint32_t max_retries_down = 3;  // failures in a row to go down, 1..10
  // Only HTTP and HTTPS monitors have the following:
  std::string http_method = "GET";
  std::string url_path = "/";
  std::string expected_codes = "200";       // "200", "200,202" or "200-204"
  std::optional<std::string> http_version;  // "1.0" or "1.1"; unset means 1.0
  std::optional<std::string> domain_name;   // the Host header of 1.1, and TLS's server name
  std::string check;  // only of EXTERNAL monitors: the name of a check that each node declares
  // Probes ask for the VIP at the member, as its clients do; only of pools whose members answer
  // directly.
  bool probe_vip = false;

  bool operator==(const HealthMonitor&) const = default;
};

// A further address of a load balancer, as a floating IP of the Networking API. Without a load
// balancer it is only reserved.
struct FloatingIp : Object {
  std::string description;
  IpAddress address;
  std::optional<Uuid> network_id;  // that it was allocated from; unset: the address was given
  std::optional<Uuid> load_balancer_id;

  bool operator==(const FloatingIp&) const = default;
};

// The number of objects of each kind that a project may have; -1: unlimited.
struct Quota {
  std::int32_t load_balancer = -1;
  std::int32_t listener = -1;
  std::int32_t member = -1;
  std::int32_t pool = -1;
  std::int32_t health_monitor = -1;
  std::int32_t l7policy = -1;  // there are none, but clients set and read them
  std::int32_t l7rule = -1;

  bool operator==(const Quota&) const = default;
};

using Quotas = PersistentMap<std::string, Quota>;  // by project; absent: unlimited

// The nodes that are being drained or are drained, by name, and since when. A node is no object of
// the API's: it is there without being asked for, and only this much about it is desired.
using DrainedNodes = PersistentMap<std::string, Timestamp>;

// Returns what an object of each kind is looked up by.
Facets facets(const LoadBalancer& object);
Facets facets(const Listener& object);
Facets facets(const Pool& object);
Facets facets(const Member& object);
Facets facets(const HealthMonitor& object);
Facets facets(const FloatingIp& object);

// The whole desired state, as one value: copied (which costs nothing), changed, compared, then
// stored and reconciled.
struct Model {
  Table<LoadBalancer> load_balancers;
  Table<Listener> listeners;
  Table<Pool> pools;
  Table<Member> members;
  Table<HealthMonitor> health_monitors;
  Table<FloatingIp> floating_ips;
  Quotas quotas;
  DrainedNodes drained_nodes;

  bool operator==(const Model&) const = default;
};

// The last result of probing a member. Absent from the table: not probed yet, or no monitor.
enum class Health { up, down };
using HealthTable = PersistentMap<Uuid, Health>;  // by member id

}  // namespace sluice::model
