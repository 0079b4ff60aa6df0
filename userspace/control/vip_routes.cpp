#include "control/vip_routes.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace sluice::control {
namespace {

using std::chrono::milliseconds;

// As in the Follower: a script with a hundred commands causes a few looks.
constexpr milliseconds gather{20};
constexpr milliseconds while_somebody_changes{100};
// A route takes the kernel up to some milliseconds, and probes wait behind it.
constexpr std::size_t steps_per_turn = 32;

}  // namespace

DrainState drain_state(const model::Model& model, const std::string& node,
                       std::chrono::system_clock::time_point now) {
  const auto found = model.drained_nodes.find(node);
  if (found == model.drained_nodes.end()) return {};
  const auto left = found->second + until_withdrawal - now;
  if (left <= left.zero()) return {.drain = Drain::drained};
  // The clock may have been set back.
  return {.drain = Drain::draining,
          .left = std::min<milliseconds>(std::chrono::ceil<milliseconds>(left), until_withdrawal)};
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
}

void VipRoutes::look() {
  unsure_ = true;
  schedule(gather);
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

std::optional<VipRoutes::Wish> VipRoutes::wish() {
  if (controller_.is_lost()) return Wish{{}, "packets do not meet the data plane"};
  auto held = controller_.held_vips();
  const auto missing = missing_interface();
  if (!held || !missing) return std::nullopt;
  if (!missing->empty()) return Wish{{}, *missing};
  const auto drain =
      drain_state(controller_.model(), settings_.node, std::chrono::system_clock::now());
  if (drain.drain == Drain::drained)
    return Wish{.vips = {}, .reason = "the node is drained", .drained = true};
  if (drain.drain == Drain::none) return Wish{std::move(*held)};
  look_when_withdrawn(drain.left);
  return Wish{.vips = std::move(*held), .metric = network::draining_metric};
}

void VipRoutes::look_when_withdrawn(milliseconds left) {
  withdrawal_.expires_after(left);
  withdrawal_.async_wait([this](const boost::system::error_code& error) {
    if (!error) schedule(milliseconds(0));
  });
}

void VipRoutes::bring_in_line() {
  const auto wished = wish();
  if (!wished) return;
  const auto wanted =
      network::announcements(wished->vips, wished->metric, settings_.ipv6_in_main_table);
  tell(*wished);
  if (!unsure_ && wanted == last_) return;
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
  if (!std::exchange(told_failure_, "").empty()) spdlog::info("VIPs are announced again");
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
  standing_ = {.ipv4 = wish.vips.size() - ipv6,
               .ipv6 = ipv6,
               .reason = wish.reason,
               .drained = wish.drained};
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
