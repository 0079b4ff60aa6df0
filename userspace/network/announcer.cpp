#include "network/announcer.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <set>
#include <vector>

#include "network/arp_frame.hpp"
#include "network/discovery_frame.hpp"
#include "network/frame_sender.hpp"

namespace sluice::network {
namespace {

namespace asio = boost::asio;
using Claim = std::pair<std::uint32_t, IpAddress>;  // "this VIP is here"

// So many are announced in a turn of the event loop, because each takes a socket and a frame's way
// through the kernel.
constexpr std::size_t at_once = 32;

}  // namespace

Result<void> send_announcement(std::uint32_t interface_index, const IpAddress& vip) {
  const auto what =
      "announce " + vip.to_string() + " on interface " + std::to_string(interface_index);
  const auto sender = FrameSender::open(interface_index);
  if (!sender) return fail(sender.error(), what);
  if (!*sender) return {};
  const auto& mac = (*sender)->mac();
  auto sent = vip.is_v4() ? (*sender)->send(gratuitous_arp(mac, vip))
                          : (*sender)->send(unsolicited_advertisement(mac, vip));
  if (!sent) return fail(std::move(sent.error()), what);
  return {};
}

struct Announcer::State : std::enable_shared_from_this<State> {
  explicit State(asio::any_io_executor executor_) : executor(std::move(executor_)) {}

  void send(std::vector<Claim> claims, int repetition);

  asio::any_io_executor executor;
  std::set<Claim> claimed;
};

void Announcer::State::send(std::vector<Claim> claims, int repetition) {
  // A VIP that was given up in the meantime may already be somebody else's.
  std::erase_if(claims, [this](const Claim& claim) { return !claimed.contains(claim); });
  if (claims.empty()) return;
  if (claims.size() > at_once) {
    const auto rest = claims.begin() + at_once;
    asio::post(executor, [weak = weak_from_this(), others = std::vector(rest, claims.end()),
                          repetition]() mutable {
      if (const auto self = weak.lock()) self->send(std::move(others), repetition);
    });
    claims.erase(rest, claims.end());
  }
  for (const auto& [interface, vip] : claims) {
    if (auto result = send_announcement(interface, vip); !result)
      spdlog::debug("network: {}", result.error().text());
  }
  if (repetition == repetitions) return;
  auto timer = std::make_shared<asio::steady_timer>(executor, interval);
  timer->async_wait(
      [weak = weak_from_this(), timer, claims = std::move(claims), repetition](auto error) {
        const auto self = weak.lock();
        if (!error && self) self->send(claims, repetition + 1);
      });
}

Announcer::Announcer(asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

void Announcer::announce(const std::vector<std::uint32_t>& interfaces,
                         const std::vector<IpAddress>& vips) {
  std::set<Claim> wanted;
  for (const auto interface : interfaces) {
    for (const auto& vip : vips) {
      wanted.emplace(interface, vip);
    }
  }
  std::vector<Claim> added;
  std::set_difference(wanted.begin(), wanted.end(), state_->claimed.begin(), state_->claimed.end(),
                      std::back_inserter(added));
  state_->claimed = std::move(wanted);
  state_->send(std::move(added), 1);
}

void Announcer::change(const std::vector<std::uint32_t>& interfaces,
                       const std::vector<IpAddress>& removed, const std::vector<IpAddress>& added) {
  const std::set<IpAddress> stays(added.begin(), added.end());
  std::vector<Claim> claims;
  for (const auto interface : interfaces) {
    for (const auto& vip : removed) {
      if (!stays.contains(vip)) state_->claimed.erase({interface, vip});
    }
    for (const auto& vip : stays) {
      if (state_->claimed.emplace(interface, vip).second) claims.emplace_back(interface, vip);
    }
  }
  state_->send(std::move(claims), 1);
}

void Announcer::interface_changed(std::uint32_t interface_index) {
  std::vector<Claim> claims;
  std::copy_if(state_->claimed.begin(), state_->claimed.end(), std::back_inserter(claims),
               [interface_index](const Claim& claim) { return claim.first == interface_index; });
  state_->send(std::move(claims), 1);
}

void Announcer::repeat() {
  state_->send({state_->claimed.begin(), state_->claimed.end()}, 1);
}

}  // namespace sluice::network
