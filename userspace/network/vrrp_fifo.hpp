// VrrpFifo: hears from keepalived, by its notify FIFO, whether this node answers for the VIPs or is
// the standby of another one that does.
//
// keepalived tells changes only. What it said last is kept beside the FIFO (PATH.state), so that a
// restart of this process doesn't change it; the directory should be one that a reboot empties.
// Until keepalived has said anything, the node is a standby.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/result.hpp"

namespace sluice::network {

class VrrpFifo {
 public:
  struct Callbacks {
    std::function<void(bool active)> changed;
    // Another node has claimed the VIPs although they are ours: they should be announced again.
    std::function<void()> claimed;
  };
  // Opens the FIFO, or makes it: whoever comes first, keepalived or this process, makes it for
  // both.
  static Result<VrrpFifo> open(boost::asio::any_io_executor executor, std::filesystem::path path);

  bool is_active() const;
  // Calls back from now on.
  void listen(Callbacks callbacks);

  VrrpFifo(VrrpFifo&&) noexcept = default;
  VrrpFifo& operator=(VrrpFifo&&) = delete;
  ~VrrpFifo();  // no callback from then on

 private:
  struct State;
  explicit VrrpFifo(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sluice::network
