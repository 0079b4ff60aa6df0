#include "control/follower.hpp"

#include <spdlog/spdlog.h>

#include <array>
#include <set>
#include <utility>

#include "base/tcp_address.hpp"
#include "control/describe.hpp"
#include "model/vips.hpp"

namespace sluice::control {
namespace {

// Changes are gathered for so long, so that a script with a hundred commands causes a few
// catch-ups, not a hundred.
constexpr auto gather = std::chrono::milliseconds(20);

// A sweep costs tens of milliseconds, so members that fail all the time must not cause one each.
constexpr auto between_sweeps_for_failures = std::chrono::seconds(1);

bool is_active(const model::Object& object) {
  return object.admin_state_up && object.provisioning_status != model::ProvisioningStatus::error;
}

// Adds the addresses of a load balancer that are announced.
void add_active_vips(std::vector<IpAddress>& vips, const model::Model& model, const Uuid& id) {
  const auto* load_balancer = model.load_balancers.lookup(id);
  if (!load_balancer || !is_active(*load_balancer)) return;
  for (const auto& address : model::own_addresses(*load_balancer)) vips.push_back(address);
  model.floating_ips.walk(model::Facet::parent, id, [&](const model::FloatingIp& floating_ip) {
    if (is_active(floating_ip)) vips.push_back(floating_ip.address);
    return true;
  });
}

std::vector<IpAddress> active_vips(const model::Model& model) {
  std::vector<IpAddress> vips;
  for (const auto& [id, load_balancer] : model.load_balancers) add_active_vips(vips, model, id);
  return vips;
}

// The SNAT addresses of nodes that this node answers for.
std::vector<IpAddress> answered_of_nodes(const NodeSnat& nodes) {
  std::vector<IpAddress> answered;
  for (const auto& [address, of_node] : nodes.addresses) {
    if (answers(of_node.role)) answered.push_back(address);
  }
  return answered;
}

// Returns the load balancers whose announced addresses may differ between the two models.
std::set<Uuid> with_other_vips(const model::Model& before, const model::Model& after) {
  std::set<Uuid> owners;
  model::for_each_change(before.load_balancers, after.load_balancers,
                         [&](const Uuid& id, const auto* old, const auto* now) {
                           const bool same =
                               old && now && is_active(*old) == is_active(*now) &&
                               model::own_addresses(*old) == model::own_addresses(*now);
                           if (!same) owners.insert(id);
                         });
  model::for_each_change(before.floating_ips, after.floating_ips,
                         [&](const Uuid&, const auto* old, const auto* now) {
                           for (const auto* one : {old, now}) {
                             if (one && one->load_balancer_id)
                               owners.insert(*one->load_balancer_id);
                           }
                         });
  return owners;
}

}  // namespace

Follower::Follower(boost::asio::io_context& loop, Controller& controller,
                   network::NeighborKeeper& neighbors, Note note, health::ExternalProber* checks,
                   health::VipProbes* vips)
    : controller_(controller),
      neighbors_(neighbors),
      note_(std::move(note)),
      announcer_(loop.get_executor()),
      monitor_(
          loop.get_executor(), [this](const auto& changes) { health_changed(changes); },
          [this](const Uuid& member, const std::string& reason) {
            spdlog::warn("members can't be probed and stay as they are, first of all {}: {}",
                         describe_member(controller_.model(), member), reason);
          },
          std::chrono::seconds(1), checks, vips),
      timer_(loop),
      drain_timer_(loop),
      slow_start_timer_(loop) {
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
    if (!error) catch_up_in_slices();
  });
}

void Follower::catch_up() {
  begin_to_catch_up();
  while (!catch_up_with_some()) continue;
  end_catching_up();
}

// After a large change each part takes long. The model that is followed stays the same meanwhile; a
// call of catch_up() in between does all of it.
void Follower::catch_up_in_slices() {
  if (following_) return schedule();  // another one has yet to end
  begin_to_catch_up();
  controller_.slices().run([this] { return !following_ || catch_up_with_some(); },
                           [this] {
                             if (following_) end_catching_up();
                           });
}

void Follower::begin_to_catch_up() {
  following_ = controller_.model();
  next_part_ = 0;
}

// Does the next part, if there is one; returns whether none is left.
bool Follower::catch_up_with_some() {
  static constexpr std::array parts{&Follower::probe_members, &Follower::keep_neighbors,
                                    &Follower::announce_vips};
  if (next_part_ < parts.size()) (this->*parts[next_part_++])();
  return next_part_ == parts.size();
}

void Follower::end_catching_up() {
  followed_ = *std::exchange(following_, {});
  end_drains();
  continue_slow_starts();
  let_go_of_failed_members();
}

// Finds the members whose time to drain is over, and looks again when the next one's is. It also
// looks every few seconds, because the clock may be set.
void Follower::end_drains() {
  constexpr auto longest = std::chrono::seconds(5);
  const auto now = std::chrono::system_clock::now();
  std::optional<std::chrono::system_clock::duration> next;
  Overdue overdue;
  controller_.model().members.walk(model::Facet::draining, {}, [&](const model::Member& member) {
    const auto left = *member.drain_until - now;
    if (left <= left.zero()) {
      overdue.insert(member.id);
    } else if (!next || left < *next) {
      next = left;
    }
    return true;
  });
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
  if (const auto removed = give_up_removed_members(); removed && (!next || *removed < *next)) {
    next = std::chrono::ceil<std::chrono::system_clock::duration>(*removed);
  }
  if (!next) return drain_timer_.cancel(), void();
  drain_timer_.expires_after(std::min<std::chrono::system_clock::duration>(*next, longest));
  drain_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) catch_up();
  });
}

// Ends the connections of removed members whose time is over. Returns the time until there is more
// to do; nullopt: nothing.
std::optional<std::chrono::nanoseconds> Follower::give_up_removed_members() {
  const auto over = controller_.data_plane().give_up_removed();
  if (!over) {
    spdlog::error("end connections of removed members: {}", over.error().text());
    return std::chrono::seconds(5);
  }
  for (const auto& member : over->given_up) {
    const auto what = fmt::format(
        "member {}, which was removed, has been drained for long enough: its connections are ended",
        TcpAddress{member.address, member.port}.to_string());
    spdlog::info("{}", what);
    note_("health", what, nullptr);
    someone_failed_ = true;
  }
  return over->next;
}

// Has the shares of starting members grow, and does so again when the next step is due. Those that
// start now have their first share already: the controller gave it with the change.
void Follower::continue_slow_starts() {
  const auto next = controller_.continue_slow_starts();
  if (!next) return slow_start_timer_.cancel(), void();
  slow_start_timer_.expires_at(*next);
  slow_start_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) continue_slow_starts();
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
  for (const auto& [member, health, suspected, weight_percent, reason] : changes) {
    states[member] = health;
    const auto who = describe_member(controller_.model(), member);
    if (weight_percent) {
      const auto what =
          fmt::format("{} now takes {} % of its weight: {}", who, *weight_percent, reason);
      spdlog::info("{}", what);
      note_("health", what, &member);
    } else if (suspected) {
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
  controller_.set_reduced(monitor_.reduced());  // first: who comes up has its weight then
  controller_.set_health(states);
  controller_.set_suspects(monitor_.suspects());
}

void Follower::suspect(const Uuid& member, bool many, const std::string& what) {
  const auto count = many ? "new connections" : "a new connection";
  monitor_.suspect(member, many, fmt::format("{} {}", count, what));
}

void Follower::probe_members() {
  auto change = health::target_change(followed_, *following_, controller_.health());
  if (change.members.empty()) return;
  std::erase_if(change.targets,
                [this](const auto& target) { return !probed_here_(target.member); });
  monitor_.change_targets(std::move(change));
  controller_.set_reduced(monitor_.reduced());
  controller_.set_suspects(monitor_.suspects());
}

// Probes that go on are not disturbed. Who is probed here from now on has the health that others
// have found.
void Follower::probe_only(std::function<bool(const Uuid& member)> probed_here) {
  probed_here_ = std::move(probed_here);
  auto targets = health::targets(controller_.model(), controller_.health());
  std::erase_if(targets, [this](const auto& target) { return !probed_here_(target.member); });
  monitor_.set_targets(std::move(targets));
  controller_.set_reduced(monitor_.reduced());
  controller_.set_suspects(monitor_.suspects());
}

void Follower::keep_neighbors() {
  const auto& members = following_->members;
  std::vector<IpAddress> removed, added;
  model::for_each_change(
      followed_.members, members, [&](const Uuid&, const auto* old, const auto* now) {
        if (old && now && old->address == now->address) return;
        if (now) added.push_back(now->address);
        if (old && !members.first(model::Facet::address, model::subject(old->address)))
          removed.push_back(old->address);
      });
  if (!removed.empty()) neighbors_.let_go(removed);
  if (!added.empty()) neighbors_.keep(added);
}

// Announces what has changed since the last time.
void Follower::announce_changes(const std::vector<std::uint32_t>& interfaces) {
  const auto& before = announced_->model;
  const auto& after = controller_.model();
  std::vector<IpAddress> removed, added;
  for (const auto& owner : with_other_vips(before, after)) {
    add_active_vips(removed, before, owner);
    add_active_vips(added, after, owner);
  }
  if (removed.empty() && added.empty()) return;
  // A node's own SNAT address may have been a VIP.
  added.insert(added.end(), announced_->of_nodes.begin(), announced_->of_nodes.end());
  announcer_.change(interfaces, removed, added);
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
  const bool standby = controller_.is_standby();
  const auto of_nodes = answered_of_nodes(controller_.node_snat());
  if (!announced_ || announced_->interfaces != indices || announced_->standby != standby ||
      announced_->of_nodes != of_nodes) {
    auto here = standby ? std::vector<IpAddress>() : active_vips(controller_.model());
    here.insert(here.end(), of_nodes.begin(), of_nodes.end());
    announcer_.announce(indices, here);
  } else if (!standby) {
    announce_changes(indices);
  }
  announced_ = {controller_.model(), indices, standby, of_nodes};
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
