#include "sluicectl/import/virtual_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>

#include "base/ip_address.hpp"

namespace sluice::ctl {

std::string algorithm_of(Draft& draft, Directive& directive, const std::string& scheduler,
                         const std::vector<std::string>& flags) {
  const auto has = [&](const char* flag) { return std::ranges::find(flags, flag) != flags.end(); };
  if (scheduler == "rr" || scheduler == "wrr") return "ROUND_ROBIN";
  if (scheduler == "lc" || scheduler == "wlc") return "LEAST_CONNECTIONS";
  if (scheduler == "sh") return has("sh-port") ? "SOURCE_IP_PORT" : "SOURCE_IP";
  if (scheduler == "mh") return has("mh-port") ? "MAGLEV" : "SOURCE_IP";
  const bool by_load =
      scheduler == "sed" || scheduler == "nq" || scheduler == "lblc" || scheduler == "lblcr";
  const std::string nearest = by_load ? "LEAST_CONNECTIONS" : "ROUND_ROBIN";
  draft.lose(directive, "scheduler " + scheduler,
             fmt::format("there is no such algorithm, {} takes its place", nearest));
  return nearest;
}

bool ignores_weights(const std::string& scheduler) {
  return scheduler == "rr" || scheduler == "lc";
}

void set_persistence(Draft& draft, Directive& directive, Item& pool, const std::string& seconds,
                     const std::string& mask) {
  boost::json::object persistence{{"type", "SOURCE_IP"}};
  const auto timeout = number(seconds);
  const auto netmask = parse_ip_address(mask);
  if (pool.text("protocol") == "TCP") {
    if (timeout && *timeout != 360)
      draft.lose(directive, "persistence of " + seconds + " s",
                 "TCP pools keep a client for 360 s after its last new connection");
    if (!mask.empty() && mask != "255.255.255.255" && mask != "32" && mask != "128")
      draft.lose(directive, "mask " + mask, "in TCP pools each address is a client of its own");
  } else {
    if (timeout) persistence["persistence_timeout"] = *timeout;
    if (netmask)
      persistence["persistence_granularity"] = mask;
    else if (!mask.empty() && mask != "32" && mask != "128")
      draft.lose(directive, "mask " + mask, "it has to be a mask such as 255.255.255.0");
  }
  set(pool, "session_persistence", std::move(persistence));
}

void set_one_packet(Draft& draft, Directive& directive, Item& listener, const std::string& mode) {
  if (listener.text("protocol") != "UDP")
    return draft.lose(directive, "one-packet scheduling", "only UDP listeners have it");
  set(listener, "udp_scheduling", "packet");
  if (mode == "dnat")
    draft.remark(directive,
                 "one-packet scheduling: without a session the members' answers keep their own "
                 "addresses, as with IPVS");
}

void set_weight(Draft& draft, Directive& directive, Item& member, std::int64_t weight) {
  constexpr std::int64_t highest = 256;
  if (weight > highest)
    draft.lose(directive, fmt::format("weight {}", weight),
               "256 is the highest; give all members of the pool smaller ones");
  set(member, "weight", std::min(weight, highest));
}

}  // namespace sluice::ctl
