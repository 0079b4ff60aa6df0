#include "support/frame.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <stdexcept>

namespace sluice::test {
namespace {

void put8(Bytes& out, std::uint8_t value) {
  out.push_back(value);
}
void put16(Bytes& out, std::uint16_t value) {
  put8(out, value >> 8);
  put8(out, value & 0xff);
}
void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
template <typename Range>
void put(Bytes& out, const Range& range) {
  out.insert(out.end(), range.begin(), range.end());
}
void put_ip(Bytes& out, const std::string& address) {
  in_addr parsed{};
  if (inet_pton(AF_INET, address.c_str(), &parsed) != 1) throw std::invalid_argument(address);
  put32(out, ntohl(parsed.s_addr));
}
void set16(Bytes& out, std::size_t offset, std::uint16_t value) {
  out.at(offset) = value >> 8;
  out.at(offset + 1) = value & 0xff;
}
void put_ethernet(Bytes& out, const Mac& destination, const Mac& source, std::uint16_t type) {
  put(out, destination);
  put(out, source);
  put16(out, type);
}

}  // namespace

std::uint16_t internet_checksum(const Bytes& data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    sum += (data[i] << 8) | (i + 1 < data.size() ? data[i + 1] : 0);
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

Bytes Ipv4Frame::bytes() const {
  Bytes header;
  put8(header, 0x40 | ((20 + options.size()) / 4));
  put8(header, tos);
  put16(header, 20 + options.size() + payload.size());
  put16(header, id);
  put16(header, fragment);
  put8(header, ttl);
  put8(header, protocol);
  put16(header, 0);
  put_ip(header, source);
  put_ip(header, destination);
  put(header, options);
  set16(header, 10, internet_checksum(header));

  Bytes out;
  put_ethernet(out, destination_mac, source_mac, 0x0800);
  put(out, header);
  put(out, payload);
  return out;
}

Bytes TcpFrame::bytes() const {
  Bytes segment;
  put16(segment, source_port);
  put16(segment, destination_port);
  put32(segment, sequence);
  put32(segment, acknowledgement);
  put8(segment, ((20 + options.size()) / 4) << 4);
  put8(segment, flags);
  put16(segment, window);
  put16(segment, 0);  // checksum
  put16(segment, 0);  // urgent pointer
  put(segment, options);
  put(segment, data);

  Bytes summed;
  put_ip(summed, ip.source);
  put_ip(summed, ip.destination);
  put16(summed, IPPROTO_TCP);
  put16(summed, segment.size());
  put(summed, segment);
  set16(segment, 16, internet_checksum(summed));

  Ipv4Frame frame = ip;
  frame.protocol = IPPROTO_TCP;
  frame.payload = segment;
  return frame.bytes();
}

Bytes EchoFrame::bytes() const {
  Bytes message;
  put8(message, type);
  put8(message, code);
  put16(message, 0);
  put16(message, identifier);
  put16(message, sequence);
  put(message, data);
  set16(message, 2, internet_checksum(message));

  Ipv4Frame frame = ip;
  frame.protocol = IPPROTO_ICMP;
  frame.payload = message;
  return frame.bytes();
}

Bytes ArpFrame::bytes() const {
  Bytes out;
  put_ethernet(out, destination_mac, source_mac, 0x0806);
  put16(out, 1);
  put16(out, 0x0800);
  put8(out, 6);
  put8(out, 4);
  put16(out, operation);
  put(out, sender_mac);
  put_ip(out, sender);
  put(out, target_mac);
  put_ip(out, target);
  return out;
}

Bytes unhex(const std::string& digits) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::string hex_dump(const Bytes& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % 16 == 0) text += fmt::format("{}{:04x} ", i ? "\n" : "", i);
    text += fmt::format(" {:02x}", bytes[i]);
  }
  return text;
}

}  // namespace sluice::test
