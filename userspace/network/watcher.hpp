// Watcher: listens to the kernel's link, address, route and neighbour notifications (IPv4) on the
// event loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.hpp"

namespace sluice::network {

class Watcher {
 public:
  // Notifications come in bursts (a link that goes down takes its routes along). There is one call
  // per burst.
  static constexpr auto debounce = std::chrono::milliseconds(50);

  struct Callbacks {
    // Is called when routes, links or MACs have changed, so that next hops found earlier may be
    // wrong, and when the kernel had to drop notifications. At most once per `debounce`.
    std::function<void()> next_hops_changed;
    // Is called when a link appeared, came up or got another MAC.
    std::function<void(std::uint32_t interface_index)> link_changed;
    // Is called when an announcement of a VIP (routes.hpp) was added or removed, by whomever. That
    // changes no next hop.
    std::function<void()> announcements_changed = {};
  };
  // Starts watching. What exists at the start is not reported.
  static Result<Watcher> start(boost::asio::any_io_executor executor, Callbacks callbacks);

  Watcher(Watcher&&) noexcept = default;
  Watcher& operator=(Watcher&&) = delete;
  ~Watcher();  // no callback from then on

 private:
  struct State;
  explicit Watcher(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sluice::network
