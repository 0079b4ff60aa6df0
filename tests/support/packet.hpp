// Packet: an IP packet in an Ethernet frame as a value, for either IP version and any protocol.
//
// The version follows from the addresses. Checksums are computed from scratch (RFC 1071), unlike
// the data plane's incremental ones, so a frame that equals the expected one has right checksums in
// every header. Numbers are in host byte order; `bytes()` is the frame on the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/frame.hpp"

namespace sluice::test {

enum class L4 : std::uint8_t { icmp = 1, tcp = 6, udp = 17, icmpv6 = 58, sctp = 132 };

struct Tag {
  std::uint16_t ethertype = 0x8100;
  std::uint16_t vlan = 0;
};

struct Packet {
  Mac source_mac{}, destination_mac{};
  std::vector<Tag> tags;
  std::string source, destination;
  std::uint8_t ttl = 64;
  std::uint8_t tos = 0;
  std::uint16_t id = 0x1234;      // IPv4
  bool dont_fragment = true;      // IPv4
  Bytes ip_options;               // IPv4, a multiple of 4
  std::vector<Bytes> extensions;  // IPv6: each begins with its own type, where the next one's goes
  L4 protocol = L4::tcp;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t flags = ACK;                               // TCP
  std::uint32_t sequence = 1000, acknowledgement = 1001;  // of one like it
  std::uint16_t window = 502;
  std::uint16_t urgent = 0;               // TCP: counts if `flags` has URG
  Bytes options;                          // TCP, a multiple of 4
  std::uint8_t chunk = 1;                 // SCTP: the first chunk's type
  std::optional<std::uint32_t> tag;       // SCTP: instead of none for INIT, and some for others
  std::uint8_t type = 0, code = 0;        // ICMP
  std::uint32_t rest = 0;                 // ICMP: the header's second word
  std::optional<std::uint16_t> checksum;  // of the L4 header, instead of the right one
  Bytes data;

  bool is_v6() const { return destination.find(':') != std::string::npos; }
  // The bytes from the L4 header on, with its checksum.
  Bytes l4_bytes() const;
  // The bytes from the IP header on.
  Bytes ip_bytes() const;
  Bytes bytes() const;
  // One fragment: `length` bytes of l4_bytes() from `offset` on (a multiple of 8).
  Bytes fragment(std::size_t offset, std::size_t length, bool more) const;

 private:
  Bytes ip_bytes_around(const Bytes& payload, std::uint16_t fragment_field) const;
  Bytes framed(const Bytes& ip) const;
};

// An ICMP error about `quoted` (bytes from an IP header on).
Packet icmp_error(const std::string& source, const std::string& destination, std::uint8_t type,
                  std::uint8_t code, std::uint32_t rest, Bytes quoted);

Bytes cut(Bytes bytes, std::size_t length);
Bytes text(const std::string& text);

}  // namespace sluice::test
