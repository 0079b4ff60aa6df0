// Leaving sources: SNAT addresses that were taken from their load balancer, and the connections
// that still have them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::dataplane {

// Counts the connections of each. It walks over the flow tables, if there is such an address.
// nullopt: flows are moved to other places now, where it might miss some.
Result<std::optional<std::map<IpAddress, std::uint64_t>>> connections_of_leaving(
    const kernel::Program& program);

}  // namespace sluice::dataplane
