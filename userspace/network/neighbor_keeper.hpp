// NeighborKeeper: keeps the MACs of the members' next hops in the kernel's neighbour table, so that
// the data plane's FIB lookups find them.
//
// XDP packets don't make the kernel resolve or confirm a neighbour, so an entry would age and
// vanish under live traffic. The keeper asks the kernel to use it (as `ip neigh add ... use` does):
// an unknown neighbour is resolved, a stale one is confirmed, and a fresh one costs nothing. It
// never sets a MAC itself, makes no permanent entry, and doesn't touch an operator's entries.
//
// It also asks for the MAC of each next hop once a second, so that an unannounced change is known
// within three seconds.
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

  // Keeps the next hops of these addresses from now on: at once, and then every `period`.
  void keep(const std::vector<IpAddress>& added);
  // No longer keeps those of these.
  void let_go(const std::vector<IpAddress>& removed);
  // Renews all next hops now, because routes may have changed.
  void renew();
  // Resolves a neighbour whose MAC the data plane misses. Repetitions within a second are ignored.
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
