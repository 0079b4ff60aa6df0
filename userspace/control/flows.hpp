// Flows: a data plane's connections, and questions about what it would do with a packet.
#pragma once

#include <algorithm>
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
  std::string state;                           // "opening", "established", "closing", "closed"
  std::chrono::seconds idle{};  // since the client's last packet, give or take a tick of 8 seconds
};

// Matches a flow that has everything that is set.
struct FlowFilter {
  std::optional<Uuid> listener = {}, pool = {}, member = {};
  std::optional<IpAddress> client = {};
  unsigned client_prefix = 128;  // leading bits of `client` that count
};

// Says whether the addresses agree in this many leading bits.
inline bool in_prefix(const IpAddress& address, const IpAddress& network, unsigned prefix) {
  if (address.is_v4() != network.is_v4()) return false;
  const auto agree = [prefix](const auto& a, const auto& b) {
    const auto bits = std::min<unsigned>(prefix, a.size() * 8);
    const auto whole = bits / 8, rest = bits % 8;
    if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
  };
  return address.is_v4() ? agree(address.to_v4().to_bytes(), network.to_v4().to_bytes())
                         : agree(address.to_v6().to_bytes(), network.to_v6().to_bytes());
}

inline bool matches(const FlowFilter& filter, const Flow& flow) {
  const auto fits = [](const std::optional<Uuid>& wanted, const Uuid& id) {
    return !wanted || *wanted == id;
  };
  return fits(filter.listener, flow.listener_id) && fits(filter.pool, flow.pool_id) &&
         fits(filter.member, flow.member_id) &&
         (!filter.client || in_prefix(flow.client.address, *filter.client, filter.client_prefix));
}

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
