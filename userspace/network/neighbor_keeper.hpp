// NeighborKeeper: keeps the MACs of the members' next hops in the kernel's neighbour table, so that
// the data plane's FIB lookups find them.
//
// XDP packets don't make the kernel resolve or confirm a neighbour, so an entry would age and
// vanish under live traffic. The keeper asks the kernel to use it (as `ip neigh add ... use` does):
// an unknown neighbour is resolved, a stale one is confirmed, a fresh one costs nothing. It never
// sets a MAC itself, leaves no permanent entry, and leaves those alone that an operator made.
//
// It also asks for the MAC of each next hop once a second, so that one that changes without a word
// is known within two seconds or three.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice::network {

class NeighborKeeper {
 public:
  static constexpr auto period = std::chrono::seconds(10);

  static Result<NeighborKeeper> start(boost::asio::any_io_executor executor);

  // From now on keeps the next hops of exactly these; new ones at once, all of them every `period`.
  void keep(std::vector<IpAddress> addresses);
  // Routes may have changed: all of them now.
  void renew();
  // The data plane misses this neighbour's MAC. Repetitions within a second are ignored.
  void resolve(std::uint32_t interface_index, const IpAddress& neighbor);

  NeighborKeeper(NeighborKeeper&&) noexcept = default;
  NeighborKeeper& operator=(NeighborKeeper&&) = delete;
  ~NeighborKeeper();

 private:
  struct State;
  explicit NeighborKeeper(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sluice::network
