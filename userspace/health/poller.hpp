// Poller: watches many short-lived sockets on the event loop.
//
// It is an epoll set inside the loop's: a probe's socket costs one epoll_ctl and no allocation, and
// while many are busy the set is read every 2 ms for all of them, not once per event.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>

namespace sluice::health {

class Poller {
 public:
  class Handler {
   public:
    // Is called on the executor with EPOLL* flags, once per change (edge-triggered). It may close
    // its own descriptor and delete itself; other handlers must live until it returns.
    virtual void ready(std::uint32_t events) = 0;

   protected:
    ~Handler() = default;
  };

  explicit Poller(boost::asio::any_io_executor executor);
  ~Poller();  // nothing is called from then on

  // Watches the descriptor until it is closed. Returns 0 or errno.
  int add(int descriptor, std::uint32_t events, Handler& handler);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::health
