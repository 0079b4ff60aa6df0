#include "kernel/address.hpp"

#include <algorithm>

namespace sluice::kernel {

sluice_id to_map(const Uuid& id) {
  sluice_id result{};
  std::copy(id.begin(), id.end(), result.bytes);
  return result;
}

Uuid from_map(const sluice_id& id) {
  Uuid result{};
  std::copy(std::begin(id.bytes), std::end(id.bytes), result.begin());
  return result;
}

sluice_address to_map(const IpAddress& address) {
  sluice_address result{};
  if (address.is_v4()) {
    result.ipv4 = to_be32(address);
  } else {
    const auto bytes = address.to_v6().to_bytes();
    std::copy(bytes.begin(), bytes.end(), result.ipv6);
  }
  return result;
}

IpAddress from_map(const sluice_address& address, bool ipv6) {
  if (!ipv6) return ipv4_from_be32(address.ipv4);
  boost::asio::ip::address_v6::bytes_type bytes;
  std::copy(std::begin(address.ipv6), std::end(address.ipv6), bytes.begin());
  return boost::asio::ip::address_v6(bytes);
}

}  // namespace sluice::kernel
