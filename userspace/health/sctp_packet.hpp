// The SCTP packets (RFC 9260) of a health check: an INIT asks, an INIT ACK or ABORT answers, and an
// ABORT ends it. Pure.
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

// Makes an INIT. `tag` (not 0) comes back in the answer; it is the first sequence number too.
std::vector<std::uint8_t> make_init(Ports ports, std::uint32_t tag);

// Makes an ABORT that ends the association that the peer began, by the peer's tag.
std::vector<std::uint8_t> make_abort(Ports ports, std::uint32_t peer_tag);

struct Answer {
  Ports ports;
  std::uint32_t tag = 0;                  // of our INIT
  std::optional<std::uint32_t> peer_tag;  // of an INIT ACK; unset: an ABORT has refused us
};

// Parses an INIT ACK or an ABORT; nullopt for anything else and for a wrong checksum.
std::optional<Answer> parse_answer(std::span<const std::uint8_t> packet);

}  // namespace sluice::health::sctp
