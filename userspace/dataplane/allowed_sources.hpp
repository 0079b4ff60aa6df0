// The `allowed_sources` map: the networks that may connect to a listener, under its index.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/ip_network.hpp"
#include "base/result.hpp"
#include "kernel/map.hpp"
#include "maps/listener.h"

namespace sluice::dataplane {

class AllowedSources {
 public:
  using ByListener = std::map<std::uint32_t, std::vector<IpNetwork>>;  // sorted

  explicit AllowedSources(const kernel::Program& program) : map_(program, "allowed_sources") {}

  // Reads the map.
  Result<ByListener> by_listener();
  // A change has two steps, between which the listener is written: it must never be restricted to
  // networks that are missing in the map.
  Result<void> add(std::uint32_t listener, const std::vector<IpNetwork>& networks);
  Result<void> remove_others(std::uint32_t listener, const std::vector<IpNetwork>& kept);
  // Reads back whether the map has these networks. Those that an older version has put count as
  // missing.
  Result<bool> has(std::uint32_t listener, const std::vector<IpNetwork>& networks) const;

 private:
  kernel::Map<sluice_allowed_key, std::uint32_t> map_;
  // What the map has, as last read and changed since: the networks of one listener can't be read
  // without those of all others. Unset: to be read.
  std::optional<ByListener> known_;
};

}  // namespace sluice::dataplane
