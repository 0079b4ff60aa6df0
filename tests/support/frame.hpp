// Frames as values: tests send them and compare them byte for byte.
//
// Checksums are computed from scratch (RFC 1071), unlike the data plane's incremental ones, so a
// frame that equals the expected one has right checksums in every header. Ports, lengths and ids
// are in host byte order; `bytes()` is the wire.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

using Bytes = std::vector<std::uint8_t>;
using Mac = std::array<std::uint8_t, 6>;

inline constexpr Mac broadcast_mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

enum TcpFlag : std::uint8_t { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10 };

// One's complement sum over big-endian words, complemented (RFC 1071).
std::uint16_t internet_checksum(const Bytes& data);

struct Ipv4Frame {
  Mac source_mac{};
  Mac destination_mac{};
  std::string source;       // dotted quad
  std::string destination;  // dotted quad
  std::uint8_t tos = 0;
  std::uint16_t id = 0x1234;
  std::uint16_t fragment = 0x4000;  // flags and offset as in the header: DF
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  Bytes options;  // a multiple of 4
  Bytes payload;  // what follows the IP header

  Bytes bytes() const;
};

struct TcpFrame {
  Ipv4Frame ip;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint8_t flags = ACK;
  std::uint32_t sequence = 1000;
  std::uint32_t acknowledgement = 1001;  // of one like it
  std::uint16_t window = 502;
  Bytes options;  // a multiple of 4
  std::string data;

  Bytes bytes() const;
  TcpFrame with(std::uint8_t new_flags) const {
    TcpFrame copy = *this;
    copy.flags = new_flags;
    return copy;
  }
};

struct EchoFrame {
  Ipv4Frame ip;
  std::uint8_t type = 8;
  std::uint8_t code = 0;
  std::uint16_t identifier = 7;
  std::uint16_t sequence = 1;
  std::string data = "abcdefgh";

  Bytes bytes() const;
};

struct ArpFrame {
  Mac source_mac{};
  Mac destination_mac = broadcast_mac;
  std::uint16_t operation = 1;
  Mac sender_mac{};
  std::string sender;
  Mac target_mac{};
  std::string target;

  Bytes bytes() const;
};

// "0200ff" -> bytes.
Bytes unhex(const std::string& digits);

// "0000  02 00 .." lines, for failure messages.
std::string hex_dump(const Bytes& bytes);

}  // namespace sluice::test
