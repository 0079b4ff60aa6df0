// Connection: a record of the data plane, whatever its IP version. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/uuid.hpp"
#include "maps/record.h"

namespace sluice::records {

struct Endpoint {
  sluice_address address{};
  std::uint16_t port = 0;  // host byte order
};

struct Connection {
  sluice_record_event event = SLUICE_RECORD_BEGINS;
  sluice_record_end end = SLUICE_RECORD_NO_END;
  bool is_ipv6 = false;
  std::uint8_t protocol = 0;           // IPPROTO_*
  std::uint32_t listener_in_bank = 0;  // see maps/listener_bank.h
  std::uint32_t member_index = 0;
  Endpoint client, vip, member;
  Endpoint source;                           // of the client's packets, as the member sees them
  std::uint64_t nanoseconds = 0;             // CLOCK_BOOTTIME
  std::uint32_t handshake_microseconds = 0;  // 0: not known
  std::optional<std::uint64_t> began_nanoseconds = {};  // of one that ends, if that is known
};

// Decodes a record of the ring buffer; nullopt if it is none that this build knows.
std::optional<Connection> decode(std::span<const std::byte> record);

// A hash of the client's tuple, by which the end of a connection finds its beginning. 64 bits: of a
// million connections at a time two have the same one once in 10^7 cases.
std::uint64_t tuple_hash(const Connection& connection);

// "begin", "end", "resume".
std::string_view word(sluice_record_event event);
// "finished", "idle" ...
std::string_view word(sluice_record_end end);
// "TCP", "UDP", "SCTP".
std::string_view protocol_word(std::uint8_t protocol);

}  // namespace sluice::records
