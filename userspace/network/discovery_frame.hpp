// Neighbour discovery frames (RFC 4861): makes questions and announcements, and reads the claims in
// frames that arrive. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/ip_address.hpp"
#include "network/mac_address.hpp"
#include "network/neighbor_claim.hpp"

namespace sluice::network {

// Ethernet, IPv6, ICMPv6 with a link-layer address option.
using DiscoveryFrame = std::array<std::uint8_t, 14 + 40 + 32>;

// Makes a frame from `address` at `mac` to all nodes, with the override flag (7.2.6): it tells
// everybody on the wire which MAC the address has now. Precondition: address.is_v6().
DiscoveryFrame unsolicited_advertisement(const MacAddress& mac, const IpAddress& address);

// Asks `to`, or everybody, who has `target`. Precondition: both addresses are IPv6.
DiscoveryFrame neighbor_solicitation(const MacAddress& mac, const IpAddress& sender,
                                     const IpAddress& target, const std::optional<MacAddress>& to);

// The claim of an advertisement; nullopt for other frames.
std::optional<NeighborClaim> claim_of_advertisement(std::span<const std::uint8_t> frame);

}  // namespace sluice::network
