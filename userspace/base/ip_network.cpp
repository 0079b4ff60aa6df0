#include "base/ip_network.hpp"

#include <charconv>
#include <cstdint>
#include <optional>

namespace sluice {
namespace {

unsigned width(const IpAddress& address) {
  return address.is_v6() ? 128 : 32;
}

// The bytes of the address with the host bits all zero or all one.
template <typename Bytes>
Bytes with_host_bits(Bytes bytes, unsigned prefix_length, bool ones) {
  for (std::size_t at = 0; at < bytes.size(); at++) {
    const auto first_bit = static_cast<unsigned>(at * 8);
    const unsigned kept = prefix_length <= first_bit ? 0 : std::min(prefix_length - first_bit, 8U);
    const auto host = static_cast<std::uint8_t>(0xffU >> kept);
    bytes[at] = static_cast<std::uint8_t>(ones ? bytes[at] | host : bytes[at] & ~host);
  }
  return bytes;
}

IpAddress with_host_bits(const IpAddress& address, unsigned prefix_length, bool ones) {
  namespace ip = boost::asio::ip;
  if (address.is_v4()) {
    return ip::address_v4(with_host_bits(address.to_v4().to_bytes(), prefix_length, ones));
  }
  return ip::address_v6(with_host_bits(address.to_v6().to_bytes(), prefix_length, ones));
}

std::optional<unsigned> parse_length(std::string_view text, unsigned longest) {
  unsigned length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc() || end != text.data() + text.size() || length > longest) {
    return std::nullopt;
  }
  return length;
}

template <typename Bytes>
Bytes incremented(Bytes bytes) {
  for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
    if (++*byte != 0) break;
  }
  return bytes;
}

}  // namespace

bool IpNetwork::contains(const IpAddress& candidate) const {
  return candidate.is_v6() == is_v6() && with_host_bits(candidate, prefix_length, false) == address;
}

IpAddress IpNetwork::last() const {
  return with_host_bits(address, prefix_length, true);
}

std::string IpNetwork::to_string() const {
  return address.to_string() + "/" + std::to_string(prefix_length);
}

Result<IpNetwork> parse_ip_network(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_ip_address(text.substr(0, slash));
  const auto length = !address || slash == text.npos
                          ? std::optional(address ? width(*address) : 0)
                          : parse_length(text.substr(slash + 1), width(*address));
  const bool scoped = address && address->is_v6() && address->to_v6().scope_id() != 0;
  if (!address || !length || scoped) {
    return fail(ErrorKind::invalid, "'" + std::string(text) + "' is not an IP network");
  }
  return IpNetwork{with_host_bits(*address, *length, false), *length};
}

IpAddress next(const IpAddress& address) {
  namespace ip = boost::asio::ip;
  if (address.is_v4()) return ip::address_v4(incremented(address.to_v4().to_bytes()));
  return ip::address_v6(incremented(address.to_v6().to_bytes()));
}

}  // namespace sluice
