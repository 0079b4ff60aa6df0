// Supported: the part of the API that data plane and prober can carry out. Only here are requests
// refused because this version can't carry them out yet.
//
// The edits (edit.hpp) accept everything that the API allows. The controller then calls
// check_supported() for what the edit has added or changed. A new feature becomes true here, and
// nothing else has to change.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "model/changes.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// The numbers of objects for which the data plane has room; without limits by default.
struct Room {
  static constexpr std::size_t plenty = static_cast<std::size_t>(-1);
  std::size_t vips = plenty;  // floating IPs and SNAT addresses included
  std::size_t listeners = plenty;
  // Those that one load balancer may have, beside what the others have; none: any number.
  std::function<std::size_t(const Uuid& load_balancer)> listeners_of = {};
  std::size_t listener_entries = plenty;  // one per listener and address of its load balancer
  std::size_t port_ranges = plenty;       // of one load balancer and transport()
  std::size_t pools = plenty;
  std::size_t members = plenty;
};

// The room that the model's objects take.
Room taken(const Model& model);

struct Supported {
  // Protocols as transport() gives them.
  std::set<Protocol> transports = {Protocol::tcp, Protocol::udp, Protocol::sctp};
  bool sctp_ports = false;  // SCTP members on another port than the listener's
  std::set<Algorithm> algorithms = {Algorithm::round_robin, Algorithm::least_connections,
                                    Algorithm::source_ip, Algorithm::source_ip_port,
                                    Algorithm::maglev};
  std::set<ForwardingMode> forwarding_modes = {ForwardingMode::fullnat, ForwardingMode::dnat,
                                               ForwardingMode::dsr, ForwardingMode::ipip,
                                               ForwardingMode::gue};
  std::set<ForwardingMode> proxyv2_modes = {ForwardingMode::fullnat};  // of pools of PROXYV2
  std::set<MonitorType> monitor_types = {
      MonitorType::http, MonitorType::https,     MonitorType::ping,        MonitorType::tcp,
      MonitorType::sctp, MonitorType::tls_hello, MonitorType::udp_connect, MonitorType::external};
  std::set<std::string> checks =
      {};  // that EXTERNAL monitors may name: those that this node declares
  bool session_persistence = true;
  bool allowed_cidrs = true;
  bool ipv6 = true;
  bool translation = false;   // between IPv4 and IPv6: a floating IP of one, a VIP of the other
  bool other_version = true;  // a VIP of one, a member of the other; where they can't, see below

  Room room = {};

  static Supported everything();
};

// ErrorKind::unsupported for the first new or changed object of `after` that needs more than
// `supported`; ErrorKind::forbidden if there are more of a kind than there is room for, and more
// than in `before`: such objects are refused instead of being stored in ERROR.
Result<void> check_supported(const Supported& supported, const Model& before, const Model& after);

// The same in steps. It keeps the two models as they were.
class SupportCheck {
 public:
  SupportCheck(Supported supported, const Model& before, const Model& after);

  // Checks the next objects, at most so many of each kind; returns whether those were the last
  // ones.
  Result<bool> step(std::size_t most);

 private:
  const Supported supported_;
  const Model before_, after_;
  bool is_room_checked_ = false;
  Differences differences_;
};

// "Provider 'sluice' does not support a requested option: <what>"
tl::unexpected<Error> unsupported_option(std::string_view what);

}  // namespace sluice::model
