#include "model/names.hpp"

#include <array>
#include <string>
#include <utility>

namespace sluice::model {
namespace {

template <typename Enum, std::size_t count>
using Words = std::array<std::pair<Enum, std::string_view>, count>;

constexpr Words<ProvisioningStatus, 5> provisioning_statuses{{
    {ProvisioningStatus::active, "ACTIVE"},
    {ProvisioningStatus::error, "ERROR"},
    {ProvisioningStatus::pending_create, "PENDING_CREATE"},
    {ProvisioningStatus::pending_update, "PENDING_UPDATE"},
    {ProvisioningStatus::pending_delete, "PENDING_DELETE"},
}};
constexpr Words<OperatingStatus, 6> operating_statuses{{
    {OperatingStatus::online, "ONLINE"},
    {OperatingStatus::offline, "OFFLINE"},
    {OperatingStatus::degraded, "DEGRADED"},
    {OperatingStatus::error, "ERROR"},
    {OperatingStatus::draining, "DRAINING"},
    {OperatingStatus::no_monitor, "NO_MONITOR"},
}};
constexpr Words<Protocol, 6> protocols{{
    {Protocol::tcp, "TCP"},
    {Protocol::udp, "UDP"},
    {Protocol::sctp, "SCTP"},
    {Protocol::http, "HTTP"},
    {Protocol::https, "HTTPS"},
    {Protocol::proxyv2, "PROXYV2"},
}};
constexpr Words<Algorithm, 5> algorithms{{
    {Algorithm::round_robin, "ROUND_ROBIN"},
    {Algorithm::least_connections, "LEAST_CONNECTIONS"},
    {Algorithm::source_ip, "SOURCE_IP"},
    {Algorithm::source_ip_port, "SOURCE_IP_PORT"},
    {Algorithm::maglev, "MAGLEV"},
}};
constexpr Words<ForwardingMode, 5> forwarding_modes{{
    {ForwardingMode::fullnat, "fullnat"},
    {ForwardingMode::dnat, "dnat"},
    {ForwardingMode::dsr, "dsr"},
    {ForwardingMode::ipip, "ipip"},
    {ForwardingMode::gue, "gue"},
}};
constexpr Words<Announce, 2> announces{{
    {Announce::always, "always"},
    {Announce::healthy, "healthy"},
}};
constexpr Words<RefusalMode, 2> refusal_modes{{
    {RefusalMode::drop, "drop"},
    {RefusalMode::reset, "reset"},
}};
constexpr Words<UdpScheduling, 2> udp_schedulings{{
    {UdpScheduling::session, "session"},
    {UdpScheduling::packet, "packet"},
}};
constexpr Words<IdleEnd, 2> idle_ends{{
    {IdleEnd::forget, "forget"},
    {IdleEnd::reset, "reset"},
}};
constexpr Words<SynAuthentication, 3> syn_authentications{{
    {SynAuthentication::automatic, "auto"},
    {SynAuthentication::always, "always"},
    {SynAuthentication::off, "off"},
}};
constexpr Words<MemberDownMode, 2> member_down_modes{{
    {MemberDownMode::keep, "keep"},
    {MemberDownMode::reset, "reset"},
}};
constexpr Words<SessionPersistence, 1> session_persistences{
    {{SessionPersistence::source_ip, "SOURCE_IP"}}};
constexpr Words<MonitorType, 8> monitor_types{{
    {MonitorType::http, "HTTP"},
    {MonitorType::https, "HTTPS"},
    {MonitorType::ping, "PING"},
    {MonitorType::tcp, "TCP"},
    {MonitorType::tls_hello, "TLS-HELLO"},
    {MonitorType::udp_connect, "UDP-CONNECT"},
    {MonitorType::sctp, "SCTP"},
    {MonitorType::external, "EXTERNAL"},
}};
constexpr Words<Health, 2> healths{{{Health::up, "up"}, {Health::down, "down"}}};

template <typename Enum, std::size_t count>
std::string_view word(const Words<Enum, count>& words, Enum value) {
  for (const auto& [candidate, text] : words) {
    if (candidate == value) return text;
  }
  return "?";  // only a value that is no enumerator gets here
}

template <typename Enum, std::size_t count>
std::optional<Enum> parse(const Words<Enum, count>& words, std::string_view text) {
  for (const auto& [value, candidate] : words) {
    if (candidate == text) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view name(ProvisioningStatus value) {
  return word(provisioning_statuses, value);
}
std::string_view name(OperatingStatus value) {
  return word(operating_statuses, value);
}
std::string_view name(Protocol value) {
  return word(protocols, value);
}
std::string_view name(Algorithm value) {
  return word(algorithms, value);
}
std::string_view name(ForwardingMode value) {
  return word(forwarding_modes, value);
}
std::string_view name(Announce value) {
  return word(announces, value);
}
std::string_view name(RefusalMode value) {
  return word(refusal_modes, value);
}
std::string_view name(UdpScheduling value) {
  return word(udp_schedulings, value);
}
std::string_view name(IdleEnd value) {
  return word(idle_ends, value);
}
std::string_view name(SynAuthentication value) {
  return word(syn_authentications, value);
}
std::string_view name(MemberDownMode value) {
  return word(member_down_modes, value);
}
std::string_view name(SessionPersistence value) {
  return word(session_persistences, value);
}
std::string_view name(MonitorType value) {
  return word(monitor_types, value);
}
std::string_view name(Health value) {
  return word(healths, value);
}

std::optional<ProvisioningStatus> parse_provisioning_status(std::string_view text) {
  return parse(provisioning_statuses, text);
}
std::optional<Protocol> parse_protocol(std::string_view text) {
  return parse(protocols, text);
}
std::optional<Algorithm> parse_algorithm(std::string_view text) {
  return parse(algorithms, text);
}
std::optional<ForwardingMode> parse_forwarding_mode(std::string_view text) {
  return parse(forwarding_modes, text);
}
std::optional<Announce> parse_announce(std::string_view text) {
  return parse(announces, text);
}
std::optional<RefusalMode> parse_refusal_mode(std::string_view text) {
  return parse(refusal_modes, text);
}
std::optional<UdpScheduling> parse_udp_scheduling(std::string_view text) {
  return parse(udp_schedulings, text);
}
std::optional<IdleEnd> parse_idle_end(std::string_view text) {
  return parse(idle_ends, text);
}
std::optional<SynAuthentication> parse_syn_authentication(std::string_view text) {
  return parse(syn_authentications, text);
}
std::optional<MemberDownMode> parse_member_down_mode(std::string_view text) {
  return parse(member_down_modes, text);
}
std::optional<SessionPersistence> parse_session_persistence(std::string_view text) {
  return parse(session_persistences, text);
}
std::optional<MonitorType> parse_monitor_type(std::string_view text) {
  return parse(monitor_types, text);
}
std::optional<Health> parse_health(std::string_view text) {
  return parse(healths, text);
}

std::string ports_text(const Listener& listener) {
  const auto first = std::to_string(listener.protocol_port);
  return listener.protocol_port_range ? first + "-" + std::to_string(last_port(listener)) : first;
}

}  // namespace sluice::model
