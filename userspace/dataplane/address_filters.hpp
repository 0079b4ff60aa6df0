// AddressFilters: `runtime` and `address_filter`, by which the data plane tells most packets that
// aren't ours by their addresses alone (maps/address_filter.h).
//
// The addresses of VIPs and members are in both filters, whichever one the data plane asks, so that
// the program or the controller may be exchanged for another version's at any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "kernel/map.hpp"
#include "maps/runtime.h"

struct sluice_address_filter;

namespace sluice::dataplane {

class AddressFilters {
 public:
  // The filters are as they were left; set() makes them right.
  static Result<AddressFilters> open(const kernel::Program& program);

  // Makes these the addresses that are known. Those that go may have been asked for until now.
  Result<void> set(const std::vector<IpAddress>& addresses);
  // Before anything that names the address is put.
  Result<void> add(const IpAddress& address);
  // Notes that one of the addresses is not needed any more. It may go on being asked for, because
  // to know the others means reading them all. Returns whether so many have gone that set() is
  // worthwhile.
  bool note_removal() { return ++gone_ * worthwhile_share >= known_.size(); }
  // Makes all next hops be looked up anew.
  Result<void> raise_next_hop_generation();

 private:
  AddressFilters(const kernel::Program& program, kernel::MapMemory large)
      : runtime_(program, "runtime"), large_memory_(std::move(large)) {}
  Result<void> change_runtime(const std::function<void(sluice_runtime&)>& change);
  sluice_address_filter& large() const;

  kernel::ArrayMap<sluice_runtime> runtime_;
  kernel::MapMemory large_memory_;
  static constexpr std::size_t worthwhile_share = 8;  // of all addresses

  std::set<IpAddress> known_;  // with those that have gone
  std::size_t gone_ = 0;       // since set()
};

}  // namespace sluice::dataplane
