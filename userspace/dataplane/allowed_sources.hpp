// The `allowed_sources` map: the networks that may connect to a listener, under its index.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/ip_network.hpp"
#include "base/result.hpp"
#include "kernel/map.hpp"
#include "maps/listener.h"

namespace sluice::dataplane {

class AllowedSources {
 public:
  explicit AllowedSources(const kernel::Program& program) : map_(program, "allowed_sources") {}

  // Reads the map.
  Result<std::map<std::uint32_t, std::vector<IpNetwork>>> by_listener() const;
  // A change has two steps, between which the listener is written: it must never be restricted to
  // networks that are missing in the map.
  Result<void> add(std::uint32_t listener, const std::vector<IpNetwork>& networks) const;
  Result<void> remove_others(std::uint32_t listener, const std::vector<IpNetwork>& kept) const;

 private:
  kernel::Map<sluice_allowed_key, std::uint32_t> map_;
};

}  // namespace sluice::dataplane
