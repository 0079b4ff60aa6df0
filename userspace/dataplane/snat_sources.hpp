// The `snat_sources` map: the source addresses that members of fullnat pools see, by listener and
// IP version.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "kernel/map.hpp"
#include "maps/snat.h"

namespace sluice::dataplane {

class SnatSources {
 public:
  explicit SnatSources(const kernel::Program& program) : map_(program, "snat_sources") {}

  // Replaces those of the IP version; none: the VIP is the source.
  Result<void> set(std::uint32_t listener, bool ipv6,
                   const std::vector<IpAddress>& addresses) const;
  Result<std::vector<IpAddress>> get(std::uint32_t listener, bool ipv6) const;

 private:
  kernel::Map<sluice_snat_key, sluice_snat_sources> map_;
};

}  // namespace sluice::dataplane
