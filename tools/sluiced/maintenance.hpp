// Maintenance: periodic work: removes expired flows, repairs drift, and tells the service manager
// that we are alive.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <string>

#include "api/language/events.hpp"
#include "control/controller.hpp"

namespace sluice::daemon {

class Maintenance {
 public:
  // `after_drift_check` is called after each check. All must outlive this.
  Maintenance(boost::asio::io_context& loop, control::Controller& controller, api::Events& events,
              std::function<void()> after_drift_check);

 private:
  void every(std::chrono::microseconds interval, std::function<void()> work);
  void repeat(boost::asio::steady_timer& timer, std::chrono::microseconds interval,
              std::function<void()> work);
  void expire_flows();
  void expire_short();
  void look_at_the_store();

  boost::asio::io_context& loop_;
  control::Controller& controller_;
  std::list<boost::asio::steady_timer> timers_;
  std::uint64_t commits_seen_ = 0;
  bool store_hangs_ = false;
  bool sweeping_ = false, short_sweeping_ = false;
  std::chrono::steady_clock::time_point next_short_sweep_{};
  std::string last_expiry_error_, last_short_error_;  // so that each error is logged once
};

}  // namespace sluice::daemon
