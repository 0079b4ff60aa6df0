// The gratuitous ARP frame (RFC 5227 announcement): tells everybody on the wire whose MAC an
// address has now. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "base/ip_address.hpp"
#include "network/mac_address.hpp"

namespace sluice::network {

using ArpFrame = std::array<std::uint8_t, 42>;

// An ARP request, broadcast from `mac`, with `address` as both sender and target. Precondition:
// address.is_v4().
ArpFrame gratuitous_arp(const MacAddress& mac, const IpAddress& address);

}  // namespace sluice::network
