// Connections as a data plane knows them, and the question what it would do with a new one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/ip_address.hpp"
#include "base/uuid.hpp"
#include "model/objects.hpp"

namespace sluice::control {

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;  // host byte order

  bool operator==(const Endpoint&) const = default;
};

struct Flow {
  model::Protocol protocol = model::Protocol::tcp;
  Endpoint client, vip, member;
  Uuid listener_id{}, pool_id{}, member_id{};  // nil: the object is gone, its connection lives on
  std::string state;            // "opening", "established", "closing", "closed"
  std::chrono::seconds idle{};  // since the client's last packet, give or take a tick of 8 seconds
};

// True of a flow that fits everything that is set.
struct FlowFilter {
  std::optional<Uuid> listener = {}, pool = {}, member = {};
  std::optional<IpAddress> client = {};
  unsigned client_prefix = 128;  // leading bits of `client` that count
};

bool matches(const FlowFilter& filter, const Flow& flow);

// Do the addresses agree in this many leading bits?
bool in_prefix(const IpAddress& address, const IpAddress& network, unsigned prefix);

// A first packet: for TCP a SYN.
struct Question {
  model::Protocol protocol = model::Protocol::tcp;
  Endpoint from, to;
};

struct Explanation {
  std::string verdict;   // "forward", "answer", "pass" or "drop", as in ReasonCount
  std::string reason;    // the label of the reason that would be counted: "no_listener"
  std::string sentence;  // what it means for the operator
  Uuid listener_id{};    // nil where the packet does not get so far
  Uuid pool_id{}, member_id{};
  std::optional<Endpoint> source = {}, destination = {};  // of the packet as it would leave
  std::string interface = {};                             // through which; empty if it stays
};

}  // namespace sluice::control
