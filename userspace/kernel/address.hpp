// Ids and addresses between C++ values and the bytes that maps hold (maps/types.h). Pure.
#pragma once

#include "base/ip_address.hpp"
#include "base/uuid.hpp"
#include "maps/types.h"

namespace sluice::kernel {

sluice_id to_map(const Uuid& id);
Uuid from_map(const sluice_id& id);

// Converts an address; IPv4 takes the first four bytes, in network byte order.
sluice_address to_map(const IpAddress& address);
IpAddress from_map(const sluice_address& address, bool ipv6);

}  // namespace sluice::kernel
