// IpNetwork: an address prefix as a value, canonical: no host bits are set.
#pragma once

#include <string>
#include <string_view>
#include <tuple>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice {

struct IpNetwork {
  IpAddress address;           // the lowest of the network
  unsigned prefix_length = 0;  // 0..32 or 0..128

  bool is_v6() const { return address.is_v6(); }
  bool contains(const IpAddress& candidate) const;
  IpAddress last() const;         // the highest address: an IPv4 network's broadcast
  std::string to_string() const;  // "10.0.0.0/8"

  bool operator==(const IpNetwork&) const = default;
};

// Parses a prefix: "10.1.2.3/8" is 10.0.0.0/8, "10.1.2.3" is 10.1.2.3/32, all else is
// ErrorKind::invalid.
Result<IpNetwork> parse_ip_network(std::string_view text);

// The address that follows; the highest one is followed by zero.
IpAddress next(const IpAddress& address);

}  // namespace sluice
