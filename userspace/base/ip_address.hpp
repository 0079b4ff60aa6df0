// IpAddress: an IPv4 or IPv6 address as a value (ordered, hashable, printable).
#pragma once

#include <linux/types.h>

#include <boost/asio/ip/address.hpp>
#include <cstring>
#include <string_view>

#include "base/result.hpp"

namespace sluice {

using IpAddress = boost::asio::ip::address;

// Parses a literal. A host name, a prefix or spaces are ErrorKind::invalid.
inline Result<IpAddress> parse_ip_address(std::string_view text) {
  boost::system::error_code error;
  auto address = boost::asio::ip::make_address(text, error);
  if (error) return fail(ErrorKind::invalid, "'" + std::string(text) + "' is not an IP address");
  return address;
}

// The address as the kernel and the wire hold it. Precondition: address.is_v4().
inline __be32 to_be32(const IpAddress& address) {
  const auto bytes = address.to_v4().to_bytes();
  __be32 value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

inline IpAddress ipv4_from_be32(__be32 value) {
  boost::asio::ip::address_v4::bytes_type bytes;
  std::memcpy(bytes.data(), &value, sizeof value);
  return boost::asio::ip::address_v4(bytes);
}

}  // namespace sluice
