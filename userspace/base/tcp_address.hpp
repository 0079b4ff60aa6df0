// TcpAddress: an IP address and a port, and how people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice {

// Listening on port 0 lets the kernel pick one.
struct TcpAddress {
  IpAddress address;
  std::uint16_t port = 0;

  std::string to_string() const;  // "127.0.0.1:9876", "[::1]:9876"
};

// Reads what to_string() writes. Host names are not resolved, because a listener must not depend on
// a name server.
Result<TcpAddress> parse_tcp_address(std::string_view text);

}  // namespace sluice
