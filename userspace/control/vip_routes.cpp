#include "control/vip_routes.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "model/status.hpp"

namespace sluice::control {
namespace {

using std::chrono::milliseconds;

// As in the Follower: a script with a hundred commands causes a few looks.
constexpr milliseconds gather{20};
constexpr milliseconds while_somebody_changes{100};
constexpr milliseconds while_joining{100};
// A route takes the kernel up to some milliseconds, and probes wait behind it.
constexpr std::size_t steps_per_turn = 32;

}  // namespace

void DrainProgress::follow(bool is_wanted) {
  is_wanted_ = is_wanted;
  if (!is_wanted) withdrawal_.reset();
}

void DrainProgress::raised(Time now) {
  if (is_wanted_ && !withdrawal_) withdrawal_ = now + until_withdrawal;
}

DrainState DrainProgress::state(Time now) const {
  if (!is_wanted_) return {};
  if (!withdrawal_) return {.drain = Drain::draining, .left = until_withdrawal};
  const auto left = *withdrawal_ - now;
  if (left <= left.zero()) return {.drain = Drain::drained};
  return {.drain = Drain::draining, .left = std::chrono::ceil<milliseconds>(left)};
}

bool Joining::waits(Time now, const std::string& lacks) {
  is_over_ = is_over_ || lacks.empty() || now - started_ >= longest;
  return !is_over_;
}

VipRoutes::VipRoutes(boost::asio::io_context& loop, Controller& controller, network::Routes routes,
                     Settings settings, Callbacks callbacks)
    : controller_(controller),
      routes_(std::move(routes)),
      settings_(std::move(settings)),
      callbacks_(std::move(callbacks)),
      timer_(loop),
      withdrawal_(loop) {
  controller_.on_change([this] { schedule(gather); });
  look();
  // From its first word on, this node says that it joins, if it does.
  follow_drain();
  is_joining();
}

void VipRoutes::look() {
  unsure_ = true;
  schedule(gather);
}

void VipRoutes::others_changed() {
  if (!left_to_others_.empty()) schedule(gather);
}

void VipRoutes::schedule(milliseconds pause) {
  if (std::exchange(scheduled_, true)) return;
  timer_.expires_after(pause);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    scheduled_ = false;
    bring_in_line();
  });
}

// Why the NICs don't permit announcing; empty: they do.
Result<std::string> VipRoutes::missing_interface() const {
  const auto attached = controller_.data_plane().interfaces();
  if (!attached) return tl::unexpected(attached.error());
  if (settings_.interfaces.empty()) return attached->empty() ? "attached to no NIC" : "";
  for (const auto& wanted : settings_.interfaces) {
    if (!std::ranges::count(*attached, wanted, &AttachedInterface::name))
      return "not attached to " + wanted;
  }
  return std::string();
}

// Where no node has a usable member, all announce as ever: clients are refused sooner than they
// would give up.
bool VipRoutes::is_left_to_others(const Uuid& load_balancer) {
  const auto& model = controller_.model();
  const auto* object = model.load_balancers.lookup(load_balancer);
  if (!object || object->announce != model::Announce::healthy) return false;
  const auto known = left_to_others_.find(load_balancer);
  if (known != left_to_others_.end()) return known->second;
  const auto is_down = [this](const Uuid& member) {
    const auto* health = controller_.health().lookup(member);
    return health && *health == model::Health::down;
  };
  const bool left = !model::has_usable_member(model::Relations(model), *object, is_down) &&
                    callbacks_.is_served_elsewhere(*object);
  left_to_others_.emplace(load_balancer, left);
  return left;
}

// Takes away the VIPs that are left to others.
std::vector<IpAddress> VipRoutes::announced_of(const std::map<IpAddress, Uuid>& held) {
  const auto before = std::exchange(left_to_others_, {});
  std::vector<IpAddress> announced;
  for (const auto& [address, load_balancer] : held) {
    if (!is_left_to_others(load_balancer)) announced.push_back(address);
  }
  for (const auto& [id, left] : left_to_others_) {
    const auto earlier = before.find(id);
    if (left == (earlier != before.end() && earlier->second)) continue;
    const auto what = fmt::format(
        "load balancer {} {}", to_string(id),
        left ? "is left to other nodes: it has no usable member here" : "is announced again");
    spdlog::info("{}", what);
    callbacks_.note(what);
  }
  return announced;
}

std::optional<VipRoutes::Wish> VipRoutes::wish() {
  if (controller_.is_lost())
    return Wish{.vips = {}, .reason = "packets do not meet the data plane"};
  auto held = controller_.held_vips();
  auto of_nodes = controller_.held_node_snat();
  const auto missing = missing_interface();
  if (!held || !of_nodes || !missing) return std::nullopt;
  if (!missing->empty()) return Wish{.vips = {}, .reason = *missing};
  if (auto why = callbacks_.forbids(); !why.empty())
    return Wish{.vips = {}, .reason = std::move(why)};
  const auto drain = drain_state();
  if (drain.drain == Drain::drained) {
    return Wish{.vips = {},
                .of_nodes = std::move(*of_nodes),
                .reason = "the node is drained",
                .drained = true};
  }
  if (is_joining()) return std::nullopt;
  const bool is_preferred = drain.drain == Drain::none;
  return Wish{.vips = announced_of(*held),
              .of_nodes = std::move(*of_nodes),
              .metric = is_preferred ? network::normal_metric : network::draining_metric};
}

network::Announcements VipRoutes::wanted_by(const Wish& wish) const {
  const bool in_main = settings_.ipv6_in_main_table;
  auto wanted = network::announcements(wish.vips, wish.metric, in_main);
  for (const auto& [address, of_node] : wish.of_nodes) {
    if (of_node.role == SnatRole::stands_by) continue;
    const auto metric =
        of_node.role == SnatRole::owns ? network::normal_metric : network::successor_metric;
    wanted.merge(network::announcements({address}, metric, in_main));
  }
  return wanted;
}

bool VipRoutes::is_of_node(const network::Announcement& one) const {
  return controller_.node_snat().addresses.contains(one.network.address);
}

// While it joins, what is announced stays as it is.
bool VipRoutes::is_joining() {
  const auto lacks = callbacks_.lacks();
  const bool waits = joining_.waits(std::chrono::steady_clock::now(), lacks);
  const auto told = std::exchange(standing_.lacks, waits ? lacks : std::string());
  if (told == standing_.lacks) {
    if (waits) schedule(while_joining);
    return waits;
  }
  if (waits) {
    standing_.ipv4 = left_ipv4_;
    standing_.ipv6 = left_ipv6_;
    spdlog::info("waits for {} before VIPs are announced, {} s at most", lacks,
                 Joining::longest.count());
    schedule(while_joining);
  } else if (!lacks.empty()) {
    const auto what =
        fmt::format("VIPs are announced without {}, for which the node has waited for {} s", lacks,
                    Joining::longest.count());
    spdlog::warn("{}", what);
    callbacks_.note(what);
  }
  callbacks_.changed();
  return waits;
}

void VipRoutes::look_when_withdrawn(milliseconds left) {
  withdrawal_.expires_after(left);
  withdrawal_.async_wait([this](const boost::system::error_code& error) {
    if (!error) schedule(milliseconds(0));
  });
}

// A process that starts into a drain goes on with it: it announces nothing that an earlier one has
// withdrawn, and routers that were told of the raised metric need not be told again.
void VipRoutes::follow_drain() {
  drain_.follow(is_drain_wanted());
  // It was drained while it was away: what it does not announce it need not withdraw.
  const bool announces = left_ipv4_ + left_ipv6_ != 0;
  if (has_looked_ && !joining_.is_over() && is_drain_wanted() && !announces)
    drain_.is_over(std::chrono::steady_clock::now());
  if (has_looked_) return;
  const auto found = routes_.read();
  if (!found) return;
  has_looked_ = true;
  auto left = found->sound;
  std::erase_if(left, [this](const auto& one) { return is_of_node(one); });
  for (const auto& one : left) {
    if (!one.in_main_table) ++(one.network.is_v6() ? left_ipv6_ : left_ipv4_);
  }
  if (!is_drain_wanted()) return;
  const auto since = controller_.model().drained_nodes.at(node());
  const bool is_old = std::chrono::system_clock::now() - since >= until_withdrawal;
  const bool is_preferred =
      std::ranges::count(left, network::normal_metric, &network::Announcement::metric) != 0;
  if (left.empty() || (is_old && !is_preferred)) drain_.is_over(std::chrono::steady_clock::now());
}

DrainState VipRoutes::drain_state() const {
  if (!is_drain_wanted()) return {};
  auto progress = drain_;
  progress.follow(true);
  return progress.state(std::chrono::steady_clock::now());
}

// One of: ANNOUNCING, JOINING, DRAINING, DRAINED, WITHDRAWN (the latter and JOINING with what is
// the matter).
Announcing VipRoutes::announcing() const {
  const auto drain = drain_state().drain;
  Announcing shown{
      .state = "ANNOUNCING", .reason = {}, .ipv4 = standing_.ipv4, .ipv6 = standing_.ipv6};
  const bool is_over = standing_.drained && drain == Drain::none;
  if (!is_over) shown.reason = standing_.reason;
  if (drain == Drain::drained) {
    shown.state = "DRAINED";
  } else if (!shown.reason.empty()) {
    shown.state = "WITHDRAWN";
  } else if (!standing_.lacks.empty()) {
    shown.state = "JOINING";
    shown.reason = "waits for " + standing_.lacks;
  } else if (drain == Drain::draining) {
    shown.state = "DRAINING";
  }
  return shown;
}

std::optional<milliseconds> VipRoutes::until_withdrawn() const {
  const auto drain = drain_state();
  return drain.drain == Drain::draining ? std::optional(drain.left) : std::nullopt;
}

void VipRoutes::bring_in_line() {
  follow_drain();
  const auto wished = wish();
  if (!wished) return;
  const auto wanted = wanted_by(*wished);
  tell(*wished);
  if (!unsure_ && wanted == last_) return raised();
  const auto found = routes_.read();
  if (!found) return failed(found.error());
  unsure_ = false;
  last_ = wanted;
  left_ = network::steps(wanted, *found);
  std::ranges::reverse(left_);
  proceed();
}

// Takes some of the steps that are left, and lets others have their turn before the next ones.
void VipRoutes::proceed() {
  const auto adds = [](const network::RouteStep& step) { return step.add; };
  if (std::ranges::any_of(left_, adds) && callbacks_.somebody_changes()) {
    std::erase_if(left_, adds);
    unsure_ = true;
  }
  for (std::size_t taken = 0; taken < steps_per_turn && !left_.empty(); ++taken) {
    const auto step = std::move(left_.back());
    left_.pop_back();
    const auto done = step.add ? routes_.add(step.announcement) : routes_.remove(step.announcement);
    if (!done) return failed(done.error());
  }
  if (!left_.empty()) return unsure_ = true, schedule(milliseconds(0));
  if (unsure_) return schedule(while_somebody_changes);
  raised();
  if (!std::exchange(told_failure_, "").empty()) spdlog::info("VIPs are announced again");
}

// The kernel has the routes as they are wanted; from now on routers that shall avoid this node
// know.
void VipRoutes::raised() {
  drain_.raised(std::chrono::steady_clock::now());
  if (const auto left = until_withdrawn()) look_when_withdrawn(*left);
}

void VipRoutes::failed(const Error& error) {
  unsure_ = true;
  left_.clear();
  if (std::exchange(told_failure_, error.text()) != error.text()) spdlog::error("{}", error.text());
  schedule(std::chrono::seconds(1));
}

void VipRoutes::tell(const Wish& wish) {
  const auto ipv6 = static_cast<std::size_t>(
      std::ranges::count_if(wish.vips, [](const auto& vip) { return vip.is_v6(); }));
  Standing standing{.ipv4 = wish.vips.size() - ipv6,
                    .ipv6 = ipv6,
                    .reason = wish.reason,
                    .drained = wish.drained,
                    .drain = drain_state().drain,
                    .lacks = standing_.lacks};
  const bool is_news = standing != std::exchange(standing_, standing);
  if (is_news) callbacks_.changed();
  if (told_reason_ == wish.reason) return;
  if (!wish.reason.empty()) {
    spdlog::warn("no VIP is announced: {}", wish.reason);
    callbacks_.note("no VIP is announced: " + wish.reason);
  } else if (told_reason_) {
    spdlog::info("VIPs are announced again");
    callbacks_.note("VIPs are announced again");
  }
  told_reason_ = wish.reason;
}

}  // namespace sluice::control
