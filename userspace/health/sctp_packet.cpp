#include "health/sctp_packet.hpp"

#include <boost/crc.hpp>
#include <boost/endian/conversion.hpp>

namespace sluice::health::sctp {
namespace {

using boost::endian::load_big_u16;
using boost::endian::load_big_u32;

// The common header: ports, verification tag, checksum; then chunks: type, flags, length, content.
constexpr std::size_t tag_at = 4, checksum_at = 8, chunk_at = 12;
constexpr std::size_t chunk_length_at = chunk_at + 2, initiate_tag_at = chunk_at + 4;
constexpr std::size_t least_size = chunk_at + 4, init_ack_size = chunk_at + 20;

enum Chunk : std::uint8_t { init = 1, init_ack = 2, abort = 6 };

// CRC32c over the packet with a checksum of 0; on the wire it is little-endian.
std::uint32_t checksum(std::span<const std::uint8_t> packet) {
  static constexpr std::uint8_t zeros[4] = {};
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(packet.data(), checksum_at);
  crc.process_bytes(zeros, sizeof zeros);
  crc.process_bytes(packet.data() + chunk_at, packet.size() - chunk_at);
  return crc.checksum();
}

class Writer {
 public:
  Writer& u8(std::uint8_t value) {
    bytes_.push_back(value);
    return *this;
  }
  Writer& u16(std::uint16_t value) {
    return u8(static_cast<std::uint8_t>(value >> 8)).u8(static_cast<std::uint8_t>(value));
  }
  Writer& u32(std::uint32_t value) {
    return u16(static_cast<std::uint16_t>(value >> 16)).u16(static_cast<std::uint16_t>(value));
  }
  Writer& header(Ports ports, std::uint32_t tag) {
    return u16(ports.source).u16(ports.destination).u32(tag).u32(0);
  }
  std::vector<std::uint8_t> finish() {
    boost::endian::store_big_u16(bytes_.data() + chunk_length_at,
                                 static_cast<std::uint16_t>(bytes_.size() - chunk_at));
    boost::endian::store_little_u32(bytes_.data() + checksum_at, checksum(bytes_));
    return std::move(bytes_);
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

std::vector<std::uint8_t> make_init(Ports ports, std::uint32_t tag) {
  constexpr std::uint32_t window = 106496;
  constexpr std::uint16_t streams_out = 10, streams_in = 65535;
  return Writer()
      .header(ports, 0)
      .u8(Chunk::init)
      .u8(0)
      .u16(0)
      .u32(tag)
      .u32(window)
      .u16(streams_out)
      .u16(streams_in)
      .u32(tag)
      .finish();
}

std::vector<std::uint8_t> make_abort(Ports ports, std::uint32_t peer_tag) {
  return Writer().header(ports, peer_tag).u8(Chunk::abort).u8(0).u16(0).finish();
}

std::optional<Answer> parse_answer(std::span<const std::uint8_t> packet) {
  if (packet.size() < least_size) return std::nullopt;
  const auto* bytes = packet.data();
  if (boost::endian::load_little_u32(bytes + checksum_at) != checksum(packet)) return std::nullopt;
  Answer answer{.ports = {load_big_u16(bytes), load_big_u16(bytes + 2)},
                .tag = load_big_u32(bytes + tag_at),
                .peer_tag = std::nullopt};
  const auto chunk = bytes[chunk_at];
  if (chunk == Chunk::abort) return answer;
  if (chunk != Chunk::init_ack || packet.size() < init_ack_size) return std::nullopt;
  answer.peer_tag = load_big_u32(bytes + initiate_tag_at);
  return answer;
}

}  // namespace sluice::health::sctp
