// ARP frames (RFC 826, RFC 5227): makes questions and announcements, and reads the claims in frames
// that arrive. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/ip_address.hpp"
#include "network/mac_address.hpp"
#include "network/neighbor_claim.hpp"

namespace sluice::network {

using ArpFrame = std::array<std::uint8_t, 42>;

// Asks `to` (broadcast_mac: everybody) who has `target`. A `sender` of 0.0.0.0 makes it a probe,
// which claims nothing. Precondition: both addresses are IPv4.
ArpFrame arp_request(const MacAddress& mac, const IpAddress& sender, const IpAddress& target,
                     const MacAddress& to);

// An ARP request, broadcast from `mac`, with `address` as both sender and target: tells everybody
// on the wire whose MAC the address has now. Precondition: address.is_v4().
ArpFrame gratuitous_arp(const MacAddress& mac, const IpAddress& address);

// The sender's claim to an address, in a request or an answer; nullopt for probes and for frames
// other than ARP.
std::optional<NeighborClaim> claim_of_arp(std::span<const std::uint8_t> frame);

}  // namespace sluice::network
