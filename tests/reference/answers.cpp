#include "reference/answers.hpp"

#include <algorithm>

namespace sluice::test::reference {
namespace {

Bytes of(const Mac& mac) {
  return {mac.begin(), mac.end()};
}

std::uint16_t checksum_over(const Bytes& bytes) {
  return internet_checksum(bytes);
}

Bytes pseudo_header(const Address& source, const Address& destination, std::size_t length,
                    std::uint8_t protocol) {
  return source + destination + be32(static_cast<std::uint32_t>(length)) + be32(protocol);
}

// Makes an IP header for a packet of our own.
Bytes own_header(const Address& source, const Address& destination, std::uint8_t tos,
                 std::size_t payload, std::uint8_t protocol) {
  const auto length = static_cast<std::uint32_t>(payload);
  if (source.size() == 16)
    return be32(0x60000000U | static_cast<std::uint32_t>(tos) << 20) + be16(length) +
           Bytes{protocol, 64} + source + destination;
  Bytes header = Bytes{0x45, tos} + be16(20 + length) + be16(0) + be16(0x4000) +
                 Bytes{64, protocol, 0, 0} + source + destination;
  write16(header, 10, checksum_over(header));
  return header;
}

}  // namespace

Bytes turned(Bytes frame) {
  const auto to = piece(frame, 0, 6), from = piece(frame, 6, 6);
  replace(frame, 0, from + to);
  return frame;
}

std::optional<Bytes> arp_answer(const Bytes& frame, const View& v, const Mac& mac,
                                Address* target) {
  const Bytes request = be16(1) + be16(0x0800) + Bytes{6, 4} + be16(1);
  if (v.l3 + 28 > frame.size() || piece(frame, v.l3, 8) != request) return {};
  const auto sender_mac = piece(frame, v.l3 + 8, 6), sender = piece(frame, v.l3 + 14, 4);
  *target = piece(frame, v.l3 + 24, 4);
  if (sender == *target) return {};
  Bytes answer = frame;
  replace(answer, 0, piece(frame, 6, 6) + of(mac));
  replace(answer, v.l3 + 6, be16(2) + of(mac) + *target + sender_mac + sender);
  return answer;
}

// Answers a neighbour solicitation (RFC 4861, 7.1.1, 7.2.4).
std::optional<Bytes> neighbour_answer(const Bytes& frame, const View& v, const Mac& mac,
                                      Address* target) {
  if (!v.ip || v.family != 6 || !v.defect.empty() || v.protocol != 58 || v.l4 != v.l3 + 40 ||
      v.l4_bytes < 24 || v.ttl != 255 || frame[v.l4] != 135 || frame[v.l4 + 1] != 0 ||
      v.source[0] == 0xff)
    return {};
  // A solicitation from :: is duplicate address detection (RFC 4862, 5.4).
  const bool from_nowhere = v.source == Address(16, 0);
  if (from_nowhere && v.destination[0] != 0xff) return {};
  const auto asked = piece(frame, v.l4, v.l4_bytes);
  if (checksum_over(pseudo_header(v.source, v.destination, v.l4_bytes, 58) + asked) != 0) return {};
  if (v.l4_bytes > 136) return {};  // longer than is looked at
  for (std::size_t at = 24; at < v.l4_bytes; at += asked[at + 1] * 8U)
    if (at + 2 > v.l4_bytes || (from_nowhere && asked[at] == 1) || asked[at + 1] == 0 ||
        at + asked[at + 1] * 8U > v.l4_bytes)
      return {};
  *target = piece(frame, v.l4 + 8, 16);
  const Address to =
      from_nowhere ? Address{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1} : v.source;
  Bytes message = Bytes{136, 0, 0, 0} + be32(from_nowhere ? 0x20000000 : 0x60000000) + *target;
  if (v.l4_bytes >= 32) message = message + Bytes{2, 1} + of(mac);
  write16(message, 2, checksum_over(pseudo_header(*target, to, message.size(), 58) + message));
  Bytes answer = frame;
  replace(answer, 0, (from_nowhere ? Bytes{0x33, 0x33, 0, 0, 0, 1} : piece(frame, 6, 6)) + of(mac));
  write16(answer, v.l3 + 4, static_cast<std::uint32_t>(message.size()));
  replace(answer, v.l3 + 8, *target + to);
  replace(answer, v.l4, message);
  return answer;
}

std::optional<Bytes> echo_answer(const Bytes& frame, const View& v, const Mac& mac) {
  const bool v4 = v.family == 4;
  if (frame[v.l4] != (v4 ? 8 : 128) || frame[v.l4 + 1] != 0) return {};
  Bytes answer = frame;
  replace(answer, 0, piece(frame, 6, 6) + of(mac));
  answer[v.l4] = v4 ? 0 : 129;
  write16(answer, v.l4 + 2,
          adjusted(read16(frame, v.l4 + 2), piece(frame, v.l4, 2), piece(answer, v.l4, 2)));
  replace(answer, v.addresses_at(), v.destination + v.source);
  answer[v.ttl_at()] = 64;
  if (v4)
    write16(
        answer, v.l3 + 10,
        adjusted(read16(frame, v.l3 + 10), piece(frame, v.l3 + 8, 2), piece(answer, v.l3 + 8, 2)));
  return answer;
}

Bytes error_about(const Bytes& frame, const View& v, const Address& from, std::uint8_t type,
                  std::uint8_t code, std::uint32_t rest) {
  const bool v4 = v.family == 4;
  Bytes message = Bytes{type, code, 0, 0} + be32(rest) +
                  piece(frame, v.l3, std::min<std::size_t>(v.l3_bytes, 128));
  const std::uint8_t protocol = v4 ? 1 : 58;
  write16(message, 2,
          checksum_over(v4 ? message
                           : pseudo_header(from, v.source, message.size(), protocol) + message));
  return turned(piece(frame, 0, v.l3)) +
         own_header(from, v.source, v4 ? 0xc0 : 0, message.size(), protocol) + message;
}

namespace {

// Makes a segment without data to the packet's sender.
Bytes segment_to_sender(const Bytes& frame, const View& v, std::uint32_t sequence,
                        std::uint32_t acknowledgement, std::uint8_t flags, std::uint16_t window) {
  Bytes tcp = be16(v.destination_port) + be16(v.source_port) + be32(sequence) +
              be32(acknowledgement) + Bytes{0x50, flags} + be16(window) + Bytes{0, 0, 0, 0};
  write16(tcp, 16, checksum_over(pseudo_header(v.destination, v.source, tcp.size(), 6) + tcp));
  return turned(piece(frame, 0, v.l3)) + own_header(v.destination, v.source, 0, tcp.size(), 6) +
         tcp;
}

}  // namespace

// Makes a reset (RFC 9293, 3.10.7.1).
Bytes reset_of(const Bytes& frame, const View& v) {
  const auto flags = frame[v.l4 + 13];
  if (flags & ACK) return segment_to_sender(frame, v, v.shown, 0, RST, 0);
  const auto payload = v.l4_bytes - (frame[v.l4 + 12] >> 4) * 4U;
  const auto acknowledged = v.sequence + static_cast<std::uint32_t>(payload) +
                            (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0);
  return segment_to_sender(frame, v, 0, acknowledged, RST | ACK, 0);
}

Bytes syn_answer_to(const Bytes& frame, const View& v, std::uint32_t acknowledged) {
  return segment_to_sender(frame, v, 0, acknowledged, SYN | ACK, 0xffff);
}

}  // namespace sluice::test::reference
