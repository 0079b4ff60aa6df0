// The packet that a question is about, as a frame; and whom a frame is from and for.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/flows.hpp"

namespace sluice::dataplane {

// What a client sends first: SYN, INIT or a datagram, to the NIC with this address. Only the IPv4
// header's checksum is right: it is the one that the data plane looks at.
std::vector<std::uint8_t> first_packet(const control::Question& question,
                                       const std::uint8_t (&mac)[6]);

// Sender and receiver of a frame's innermost packet: the one in the tunnel, if there is a tunnel.
struct Addressed {
  control::Endpoint source, destination;
};
std::optional<Addressed> addressed(const std::vector<std::uint8_t>& frame);

}  // namespace sluice::dataplane
