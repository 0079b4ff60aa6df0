#include "network/netlink.hpp"

#include <cstring>

namespace sluice::network {

Result<NetlinkSocket> open_route_socket() {
  NetlinkSocket socket(nl_socket_alloc());
  if (!socket) return fail_errno(ENOMEM, "open a netlink socket");
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0) {
    return fail_netlink(error, "open a netlink socket");
  }
  return socket;
}

tl::unexpected<Error> fail_netlink(int code, std::string_view what) {
  return fail(ErrorKind::system, std::string(what) + ": " + nl_geterror(code));
}

NetlinkAddress to_netlink(const IpAddress& address) {
  if (address.is_v4()) {
    const auto bytes = address.to_v4().to_bytes();
    return NetlinkAddress(nl_addr_build(AF_INET, bytes.data(), bytes.size()));
  }
  const auto bytes = address.to_v6().to_bytes();
  return NetlinkAddress(nl_addr_build(AF_INET6, bytes.data(), bytes.size()));
}

std::optional<IpAddress> to_ip_address(nl_addr* address) {
  if (!address) return std::nullopt;
  const auto* binary = nl_addr_get_binary_addr(address);
  if (nl_addr_get_family(address) == AF_INET && nl_addr_get_len(address) == 4) {
    __be32 value = 0;
    std::memcpy(&value, binary, sizeof value);
    return ipv4_from_be32(value);
  }
  if (nl_addr_get_family(address) == AF_INET6 && nl_addr_get_len(address) == 16) {
    boost::asio::ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), binary, bytes.size());
    return boost::asio::ip::address_v6(bytes);
  }
  return std::nullopt;
}

std::optional<MacAddress> to_mac_address(nl_addr* address) {
  MacAddress mac;
  if (!address || nl_addr_get_len(address) != mac.size()) return std::nullopt;
  std::memcpy(mac.data(), nl_addr_get_binary_addr(address), mac.size());
  return mac;
}

}  // namespace sluice::network
