// The unsolicited neighbour advertisement (RFC 4861, 7.2.6): tells everybody on the wire whose MAC
// an IPv6 address has now. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "base/ip_address.hpp"
#include "network/mac_address.hpp"

namespace sluice::network {

// Ethernet, IPv6, ICMPv6 with the target link-layer address option.
using AdvertisementFrame = std::array<std::uint8_t, 14 + 40 + 32>;

// From `address` at `mac` to all nodes, with the override flag. Precondition: address.is_v6().
AdvertisementFrame unsolicited_advertisement(const MacAddress& mac, const IpAddress& address);

}  // namespace sluice::network
