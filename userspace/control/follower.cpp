#include "control/follower.hpp"

#include <spdlog/spdlog.h>

#include "control/describe.hpp"
#include "model/vips.hpp"

namespace sluice::control {
namespace {

// Changes are gathered for so long, so that a script with a hundred commands causes a few
// catch-ups, not a hundred.
constexpr auto gather = std::chrono::milliseconds(20);

// A sweep costs tens of milliseconds, so members that fail all the time must not cause one each.
constexpr auto between_sweeps_for_failures = std::chrono::seconds(1);

std::vector<IpAddress> active_vips(const model::Model& model) {
  const auto active = [](const model::Object& object) {
    return object.admin_state_up && object.provisioning_status != model::ProvisioningStatus::error;
  };
  std::vector<IpAddress> vips;
  for (const auto& [id, load_balancer] : model.load_balancers) {
    if (!active(load_balancer)) continue;
    for (const auto& address : model::vips(load_balancer)) vips.push_back(address);
  }
  for (const auto& [id, floating_ip] : model.floating_ips) {
    if (!floating_ip.load_balancer_id) continue;
    const auto load_balancer = model.load_balancers.find(*floating_ip.load_balancer_id);
    if (load_balancer != model.load_balancers.end() && active(load_balancer->second) &&
        active(floating_ip)) {
      vips.push_back(floating_ip.address);
    }
  }
  return vips;
}

}  // namespace

Follower::Follower(boost::asio::io_context& loop, Controller& controller,
                   network::NeighborKeeper& neighbors, Note note)
    : controller_(controller),
      neighbors_(neighbors),
      note_(std::move(note)),
      announcer_(loop.get_executor()),
      monitor_(
          loop.get_executor(), [this](const auto& changes) { health_changed(changes); },
          [this](const Uuid& member, const std::string& reason) {
            spdlog::warn("members can't be probed and stay as they are, first of all {}: {}",
                         describe_member(controller_.model(), member), reason);
          }),
      timer_(loop),
      drain_timer_(loop) {
  controller_.on_change([this] { schedule(); });
  controller_.on_event([this](const std::string& event) {
    spdlog::warn("{}", event);
    note_("provisioning", event, nullptr);
  });
  schedule();
}

void Follower::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  timer_.expires_after(gather);
  timer_.async_wait([this](const boost::system::error_code& error) {
    scheduled_ = false;
    if (!error) catch_up();
  });
}

void Follower::catch_up() {
  probe_members();
  keep_neighbors();
  announce_vips();
  end_drains();
  let_go_of_failed_members();
}

// Finds the members whose time to drain is over, and looks again when the next one's is. It also
// looks every few seconds, because the clock may be set.
void Follower::end_drains() {
  constexpr auto longest = std::chrono::seconds(5);
  const auto now = std::chrono::system_clock::now();
  std::optional<std::chrono::system_clock::duration> next;
  Overdue overdue;
  for (const auto& [id, member] : controller_.model().members) {
    if (!member.drain_until) continue;
    const auto left = *member.drain_until - now;
    if (left <= left.zero()) {
      overdue.insert(id);
    } else if (!next || left < *next) {
      next = left;
    }
  }
  for (const auto& id : overdue) {
    if (overdue_.contains(id)) continue;
    const auto what = fmt::format("{} has been drained for long enough: its connections are ended",
                                  describe_member(controller_.model(), id));
    spdlog::info("{}", what);
    note_("health", what, &id);
    someone_failed_ = true;
  }
  overdue_ = overdue;
  controller_.set_overdue(std::move(overdue));
  if (!next) return drain_timer_.cancel(), void();
  drain_timer_.expires_after(std::min<std::chrono::system_clock::duration>(*next, longest));
  drain_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) catch_up();
  });
}

// Sweeps, so that UDP sessions of failed members move to another member with their next packet.
void Follower::let_go_of_failed_members() {
  const auto now = std::chrono::steady_clock::now();
  if (!someone_failed_ || sweeping_ || now - last_sweep_ < between_sweeps_for_failures) return;
  someone_failed_ = false;
  sweeping_ = true;
  last_sweep_ = now;
  controller_.data_plane().expire_flows([this](const Result<ExpiryReport>& swept) {
    sweeping_ = false;
    if (!swept) spdlog::error("let go of failed members' sessions: {}", swept.error().text());
  });
}

void Follower::link_changed(std::uint32_t interface_index) {
  announce_vips();
  announcer_.interface_changed(interface_index);
}

void Follower::health_changed(const std::vector<health::Monitor::Change>& changes) {
  model::HealthTable states;
  for (const auto& [member, health, suspected, reason] : changes) {
    states[member] = health;
    const auto who = describe_member(controller_.model(), member);
    if (suspected) {
      spdlog::warn(
          "{} seems to be dead: {}; until it answers a probe, new connections go to others of its "
          "pool, if there are any",
          who, reason);
      note_("health", fmt::format("{} is suspected: {}", who, reason), &member);
    } else if (health == model::Health::up) {
      spdlog::info("{} is up: {}", who, reason);
      note_("health", fmt::format("{} is up: {}", who, reason), &member);
    } else {
      spdlog::warn("{} is down: {}", who, reason);
      note_("health", fmt::format("{} is down: {}", who, reason), &member);
      someone_failed_ = true;
    }
  }
  controller_.set_health(states);
  controller_.set_suspects(monitor_.suspects());
}

void Follower::suspect(const Uuid& member, bool many, const std::string& what) {
  const auto count = many ? "new connections" : "a new connection";
  monitor_.suspect(member, many, fmt::format("{} {}", count, what));
}

void Follower::probe_members() {
  monitor_.set_targets(health::targets(controller_.model(), controller_.health()));
  controller_.set_suspects(monitor_.suspects());
}

void Follower::keep_neighbors() {
  std::vector<IpAddress> addresses;
  for (const auto& [id, member] : controller_.model().members) {
    addresses.push_back(member.address);
  }
  neighbors_.keep(std::move(addresses));
}

void Follower::announce_vips() {
  const auto attached = controller_.data_plane().interfaces();
  if (!attached) return spdlog::error("list the attached NICs: {}", attached.error().text());
  std::vector<std::uint32_t> indices;
  std::vector<std::string> names;
  for (const auto& interface : *attached) {
    indices.push_back(interface.index);
    names.push_back(interface.name);
  }
  announcer_.announce(indices, active_vips(controller_.model()));
  if (names == told_interfaces_) return;
  if (names.empty()) {
    spdlog::warn(
        "attached to no NIC, so nothing is balanced (sluice-loader attach IF, or start with "
        "--interface IF)");
    note_("attachment", "attached to no NIC", nullptr);
  } else {
    spdlog::info("attached to {}", fmt::join(names, ", "));
    note_("attachment", fmt::format("attached to {}", fmt::join(names, ", ")), nullptr);
  }
  told_interfaces_ = std::move(names);
}

}  // namespace sluice::control
