// SctpBytes: a peer's SCTP packets, written independently of the code under test.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sluice::health {

struct SctpBytes {
  static constexpr std::uint8_t init = 1, init_ack = 2, abort = 6;

  std::uint16_t source = 0, destination = 0;
  std::uint32_t tag = 0;
  std::uint8_t chunk = 0;
  std::uint32_t initiate_tag = 0;

  static std::uint32_t number(std::span<const std::uint8_t> bytes, std::size_t at, int size) {
    std::uint32_t value = 0;
    for (int i = 0; i < size; ++i) value = value << 8 | bytes[at + static_cast<std::size_t>(i)];
    return value;
  }

  // The checksum, computed bit by bit.
  static std::uint32_t crc32c(std::span<const std::uint8_t> bytes) {
    std::uint32_t crc = 0xffffffff;
    for (const auto byte : bytes) {
      crc ^= byte;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
    }
    return ~crc;
  }

  // Makes a packet; fields that aren't given are zero, and the checksum is little-endian.
  static std::vector<std::uint8_t> make(std::uint16_t source, std::uint16_t destination,
                                        std::uint32_t tag, std::uint8_t chunk,
                                        std::uint32_t initiate_tag) {
    const std::uint8_t length = chunk == abort ? 4 : 20;
    std::vector<std::uint8_t> bytes(12 + std::size_t{length});
    const auto put = [&](std::size_t at, int size, std::uint32_t value) {
      for (int i = size - 1; i >= 0; --i, value >>= 8)
        bytes[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value);
    };
    put(0, 2, source);
    put(2, 2, destination);
    put(4, 4, tag);
    put(12, 1, chunk);
    put(14, 2, length);
    if (chunk != abort) put(16, 4, initiate_tag);
    const auto crc = crc32c(bytes);
    for (int i = 0; i < 4; ++i)
      bytes[8 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(crc >> (8 * i));
    return bytes;
  }

  // nullopt if the checksum is wrong.
  static std::optional<SctpBytes> parse(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < 16) return std::nullopt;
    std::vector<std::uint8_t> zeroed(bytes.begin(), bytes.end());
    std::uint32_t given = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      given |= std::uint32_t{bytes[8 + i]} << (8 * i);
      zeroed[8 + i] = 0;
    }
    if (crc32c(zeroed) != given) return std::nullopt;
    return SctpBytes{.source = static_cast<std::uint16_t>(number(bytes, 0, 2)),
                     .destination = static_cast<std::uint16_t>(number(bytes, 2, 2)),
                     .tag = number(bytes, 4, 4),
                     .chunk = bytes[12],
                     .initiate_tag = bytes.size() < 20 ? 0 : number(bytes, 16, 4)};
  }
};

}  // namespace sluice::health
