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
  // Notifications come in bursts (a link that goes down takes its routes along): one call per
  // burst.
  static constexpr auto debounce = std::chrono::milliseconds(50);

  struct Callbacks {
    // Routes, links or MACs changed: next hops found earlier may be wrong. At most once per
    // `debounce`. Also called when the kernel had to drop notifications.
    std::function<void()> next_hops_changed;
    // A link appeared, came up, or has another MAC.
    std::function<void(std::uint32_t interface_index)> link_changed;
  };
  // What exists at the start is no change.
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
