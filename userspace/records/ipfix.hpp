// IPFIX messages (RFC 7011) with the NAT events of RFC 8158. Pure.
//
// A connection that begins is a "session create", one that ends a "session delete", one that goes
// on after all a create again. There are templates for IPv4 and IPv6, of which the number says what
// a record has; a collector that comes later knows them from the next message that has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "records/connection.hpp"

namespace sluice::records {

using Bytes = std::vector<std::uint8_t>;

class IpfixMessages {
 public:
  // What fits into a datagram without fragments on any usual link, tunnels included.
  static constexpr std::size_t max_bytes = 1400;
  using Send = std::function<void(const Bytes& message)>;

  // `domain`: the observation domain (RFC 7011, 3.1), a number of this node.
  explicit IpfixMessages(std::uint32_t domain) : domain_(domain) {}

  // Adds a record; calls `send` with the message before it if that is full.
  void add(const Connection& connection, std::int64_t wall_offset, const Send& send);
  // Sends what there is.
  void finish(std::int64_t wall_nanoseconds, const Send& send);
  // A message with the templates alone. Over UDP they have to be repeated (RFC 7011, 8.4).
  Bytes templates(std::int64_t wall_nanoseconds) const;

 private:
  void open_set(std::uint16_t id);
  void close_set();

  std::uint32_t domain_;
  std::uint32_t sequence_ = 0;  // records in earlier messages, modulo 2^32
  std::uint32_t records_ = 0;   // in this one
  Bytes message_;
  std::size_t set_ = 0;  // where the present set begins; 0: none is open
  std::uint16_t set_id_ = 0;
};

}  // namespace sluice::records
