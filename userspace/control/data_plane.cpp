#include "control/data_plane.hpp"

#include <fmt/format.h>

namespace sluice::control {
namespace {

std::string endpoint(std::string_view what, const IpAddress& address, std::uint16_t port) {
  const auto form = address.is_v6() ? "{} [{}]:{}" : "{} {}:{}";
  return fmt::format(fmt::runtime(form), what, address.to_string(), port);
}

struct Subject {
  std::string operator()(const PutVip& o) const { return "VIP " + o.address.to_string(); }
  std::string operator()(const RemoveVip& o) const { return "VIP " + o.address.to_string(); }
  std::string operator()(const PutListener& o) const {
    return endpoint("listener", o.key.address, o.key.port);
  }
  std::string operator()(const RemoveListener& o) const {
    return endpoint("listener", o.key.address, o.key.port);
  }
  std::string operator()(const PutPool& o) const { return "pool " + to_string(o.key.id); }
  std::string operator()(const RemovePool& o) const { return "pool " + to_string(o.key.id); }
  std::string operator()(const PutMember& o) const {
    return endpoint("member", o.entry.address, o.entry.port);
  }
  std::string operator()(const RemoveMember& o) const { return "member " + to_string(o.id); }
};

struct Effect {
  DataPlaneState& state;

  void operator()(const PutVip& o) const { state.vips[o.address] = o.entry; }
  void operator()(const RemoveVip& o) const { state.vips.erase(o.address); }
  void operator()(const PutListener& o) const { state.listeners[o.key] = o.entry; }
  void operator()(const RemoveListener& o) const { state.listeners.erase(o.key); }
  void operator()(const PutPool& o) const { state.pools[o.key] = o.entry; }
  void operator()(const RemovePool& o) const { state.pools.erase(o.key); }
  void operator()(const PutMember& o) const { state.members[o.id] = o.entry; }
  void operator()(const RemoveMember& o) const { state.members.erase(o.id); }
};

}  // namespace

void apply_to(DataPlaneState& state, const Operation& operation) {
  std::visit(Effect{state}, operation);
}

std::string subject(const Operation& operation) {
  return std::visit(Subject{}, operation);
}

Result<AllCounters> DataPlane::all_counters() {
  auto listeners = all_listener_counters();
  if (!listeners) return tl::unexpected(std::move(listeners.error()));
  auto members = all_member_counters();
  if (!members) return tl::unexpected(std::move(members.error()));
  auto handshakes = all_handshakes();
  if (!handshakes) return tl::unexpected(std::move(handshakes.error()));
  return AllCounters{std::move(*listeners), std::move(*members), std::move(*handshakes)};
}

}  // namespace sluice::control
