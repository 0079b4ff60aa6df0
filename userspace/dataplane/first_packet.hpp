// First packet: makes the packet of a question as a frame, and finds a frame's addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/flows.hpp"

namespace sluice::dataplane {

// Makes a client's first packet, a SYN, INIT or datagram, to the NIC with this address. Only the
// IPv4 header's checksum is right, because the data plane checks no other.
std::vector<std::uint8_t> first_packet(const control::Question& question,
                                       const std::uint8_t (&mac)[6]);

// Sender and receiver of a frame's innermost packet: the one in the tunnel, if there is a tunnel.
struct Addressed {
  control::Endpoint source, destination;
};
std::optional<Addressed> addressed(const std::vector<std::uint8_t>& frame);

}  // namespace sluice::dataplane
