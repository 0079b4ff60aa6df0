// View: a frame, parsed by the contract (bpf/README.md); it shares no code with the data plane.
//
// Parsing never throws and never reads past the frame. A defect of the packet is kept in `defect`
// (a reason's label), because it matters only once the packet turns out to be ours.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/packet.hpp"

namespace sluice::test::reference {

// IP addresses are their 4 or 16 bytes.
using Address = Bytes;
Address address_of(const std::string& text);
std::string text_of(const Address& address);

std::uint16_t read16(const Bytes& bytes, std::size_t at);
void write16(Bytes& bytes, std::size_t at, std::uint32_t value);
void replace(Bytes& bytes, std::size_t at, const Bytes& with);
Bytes piece(const Bytes& bytes, std::size_t at, std::size_t length);
Bytes operator+(Bytes left, const Bytes& right);
Bytes be16(std::uint32_t value);
Bytes be32(std::uint32_t value);

// Updates a checksum that covered `before` to cover `after`; a wrong one stays wrong by as much
// (RFC 1624, eqn. 3).
std::uint16_t adjusted(std::uint16_t checksum, const Bytes& before, const Bytes& after);

enum class Fragment { none, first, later };

struct View {
  std::size_t l3 = 0;  // the IP header's offset, after Ethernet header and tags
  std::uint16_t ethertype = 0;
  bool ip = false;  // there is a whole fixed header of IPv4 or IPv6
  int family = 0;
  Address source, destination;
  std::size_t l3_bytes = 0;  // as the header says
  std::uint8_t ttl = 0;
  std::uint8_t protocol = 0;
  std::size_t l4 = 0, l4_bytes = 0;
  Fragment fragment = Fragment::none;
  std::uint32_t id = 0;
  std::size_t fragment_header = 0;  // IPv6: its offset, if there is one
  std::string defect;
  bool has_ports = false;
  std::uint16_t source_port = 0, destination_port = 0;
  bool header_sum_right = true;  // IPv4's
  // The packet's meaning for its connection.
  bool opens = false, accepts = false, confirms = false, ends = false, aborts = false;
  bool data = false;
  // TCP and SCTP: what a member's packet tells its client, and what a client's packet shows.
  std::uint32_t told = 0, shown = 0;
  std::uint32_t sequence = 0;  // TCP's number

  std::size_t ip_header_bytes() const { return family == 4 ? 20 : 40; }
  std::size_t ttl_at() const { return l3 + (family == 4 ? 8 : 7); }
  std::size_t addresses_at() const { return l3 + (family == 4 ? 12 : 8); }
  bool is_icmp() const { return protocol == (family == 4 ? 1 : 58); }
};

View look_at(const Bytes& frame);

// The limit of parsing: headers that end further from the frame's first byte are not parsed.
constexpr std::size_t headers_end = 3072;

// Walks the IPv6 header chain (RFC 8200, 4) of a packet that ends at `packet_end`, over at most 6
// extension headers, and returns where the chain ends and with what.
struct Chain {
  std::size_t end = 0;
  std::uint8_t protocol = 0;
  Fragment fragment = Fragment::none;
  std::uint32_t id = 0;
  std::size_t offset = 0;           // of a fragment
  std::size_t fragment_header = 0;  // its offset in the frame
  std::string defect;
};
Chain walk_chain(const Bytes& frame, std::size_t at, std::uint8_t first, std::size_t packet_end);

}  // namespace sluice::test::reference
