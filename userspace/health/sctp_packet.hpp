// The three SCTP packets (RFC 9260) of a health check: INIT asks, INIT ACK or ABORT answers, ABORT
// says goodbye. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sluice::health::sctp {

struct Ports {
  std::uint16_t source = 0;
  std::uint16_t destination = 0;

  bool operator==(const Ports&) const = default;
};

// `tag` (not 0) comes back in the answer; it is the first sequence number too.
std::vector<std::uint8_t> make_init(Ports ports, std::uint32_t tag);

// Ends the association that the peer began to make, by the tag that it gave.
std::vector<std::uint8_t> make_abort(Ports ports, std::uint32_t peer_tag);

struct Answer {
  Ports ports;
  std::uint32_t tag = 0;                  // of our INIT
  std::optional<std::uint32_t> peer_tag;  // of an INIT ACK; none is an ABORT: refused
};

// nullopt for anything but an INIT ACK or an ABORT with a right checksum.
std::optional<Answer> parse_answer(std::span<const std::uint8_t> packet);

}  // namespace sluice::health::sctp
