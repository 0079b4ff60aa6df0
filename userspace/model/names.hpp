// Names: the API's words for the model's enums ("ROUND_ROBIN", "PENDING_CREATE", "fullnat"), in
// both directions. Matching is case-sensitive, as in the real service.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/objects.hpp"
#include "model/status.hpp"

namespace sluice::model {

std::string_view name(ProvisioningStatus value);
std::string_view name(OperatingStatus value);
std::string_view name(Protocol value);
std::string_view name(Algorithm value);
std::string_view name(ForwardingMode value);
std::string_view name(RefusalMode value);
std::string_view name(UdpScheduling value);
std::string_view name(IdleEnd value);
std::string_view name(Announce value);
std::string_view name(SynAuthentication value);
std::string_view name(MemberDownMode value);
std::string_view name(SessionPersistence value);
std::string_view name(MonitorType value);
std::string_view name(Health value);

// A listener's ports: "80" or "30000-30099".
std::string ports_text(const Listener& listener);

// The service's names of its objects, as errors say them: "Load Balancer 2b2a... not found."
constexpr std::string_view kind_of(const LoadBalancer&) {
  return "Load Balancer";
}
constexpr std::string_view kind_of(const Listener&) {
  return "Listener";
}
constexpr std::string_view kind_of(const Pool&) {
  return "Pool";
}
constexpr std::string_view kind_of(const Member&) {
  return "Member";
}
constexpr std::string_view kind_of(const HealthMonitor&) {
  return "Health Monitor";
}
constexpr std::string_view kind_of(const FloatingIp&) {
  return "Floating IP";
}

std::optional<ProvisioningStatus> parse_provisioning_status(std::string_view text);
std::optional<Protocol> parse_protocol(std::string_view text);
std::optional<Algorithm> parse_algorithm(std::string_view text);
std::optional<ForwardingMode> parse_forwarding_mode(std::string_view text);
std::optional<RefusalMode> parse_refusal_mode(std::string_view text);
std::optional<UdpScheduling> parse_udp_scheduling(std::string_view text);
std::optional<IdleEnd> parse_idle_end(std::string_view text);
std::optional<Announce> parse_announce(std::string_view text);
std::optional<SynAuthentication> parse_syn_authentication(std::string_view text);
std::optional<MemberDownMode> parse_member_down_mode(std::string_view text);
std::optional<SessionPersistence> parse_session_persistence(std::string_view text);
std::optional<MonitorType> parse_monitor_type(std::string_view text);
std::optional<Health> parse_health(std::string_view text);

}  // namespace sluice::model
