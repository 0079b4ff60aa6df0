#include "health/probe.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>

namespace sluice::health {

using Verdict = ProbeResult::Verdict;

ProbeResult failure(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:  // no local port left
    case EAGAIN:         // the same, and a socket's full buffer
    case EPERM:          // a firewall rule or a missing capability of ours
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
      return {Verdict::none, std::generic_category().message(error)};
    case ECONNREFUSED:
      return {Verdict::failed, "connection refused"};
    case ECONNRESET:
    case EPIPE:
      return {Verdict::failed, "connection reset"};
    default:
      return {Verdict::failed, std::generic_category().message(error)};
  }
}

ProbeResult Probe::timed_out(std::chrono::milliseconds time) const {
  const auto count = time.count();
  return {Verdict::failed, count % 1000 == 0 ? fmt::format("timeout after {} s", count / 1000)
                                             : fmt::format("timeout after {} ms", count)};
}

std::optional<ProbeResult> Probe::lead_to_vip(const Lead& lead, int socket, std::uint8_t protocol,
                                              std::uint32_t echo) {
  if (!lead) return std::nullopt;
  auto ticket = lead(socket, protocol, echo);
  if (!ticket) return ProbeResult{Verdict::none, ticket.error().text()};
  ticket_ = std::move(*ticket);
  return std::nullopt;
}

std::string text(const VipWay& way) {
  const auto vip = way.vip.to_string();
  switch (way.mode) {
    case model::ForwardingMode::ipip:
      return fmt::format("through ipip, for VIP {}", vip);
    case model::ForwardingMode::gue:
      return fmt::format("through gue, for VIP {}", vip);
    default:
      return fmt::format("on the link, for VIP {}", vip);
  }
}

}  // namespace sluice::health
