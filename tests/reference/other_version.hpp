// Other version: what IP/ICMP translation (RFC 7915) makes of a packet whose connection's other end
// speaks the other IP version.
//
// Between the two translations its addresses are mapped (::ffff:10.0.0.4), which changes no
// checksum of TCP or UDP: the words of a mapped address have the same sum as the IPv4 address's.
#pragma once

#include <optional>

#include "reference/view.hpp"

namespace sluice::test::reference {

Address mapped(const Address& ipv4);
bool is_mapped(const Address& address);
// Returns the IPv4 address that is mapped; another address as it is.
Address unmapped(const Address& address);

// Makes an IPv6 packet of the IPv4 packet in a frame; nullopt: the contract drops it.
std::optional<Bytes> to_ipv6(const Bytes& frame, const View& view);
// Makes an IPv4 packet of an IPv6 packet with mapped addresses. If it may be fragmented later, it
// gets this id.
std::optional<Bytes> to_ipv4(const Bytes& frame, const View& view, std::uint16_t id);

}  // namespace sluice::test::reference
