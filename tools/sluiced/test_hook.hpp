// TestHook: lets a test see load balancers that are busy or in ERROR (--test-hook FILE). While FILE
// begins with "hold", changes stay PENDING_*; while it begins with "fail", applying fails;
// otherwise, what was held back is applied. With "check", the drift check that is due every half
// minute is made now, and FILE is removed when it is over.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>

#include "control/controller.hpp"

namespace sluice::daemon {

class TestHook {
 public:
  // An empty path hooks nothing.
  TestHook(boost::asio::io_context& loop, control::Controller& controller,
           std::filesystem::path file);

 private:
  control::Hook read() const;
  void watch();
  void check();

  boost::asio::steady_timer timer_;
  control::Controller& controller_;
  std::filesystem::path file_;
  control::Hook last_ = control::Hook::none;  // the hook at the last change or look
  bool checks_ = false;                       // a drift check is under way
};

}  // namespace sluice::daemon
