// libnl for this folder's files: owners for its objects, values for its addresses, its errors as
// ours. Private to network/.
#pragma once

#include <linux/neighbour.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>

#include <memory>
#include <optional>
#include <string_view>

#include "base/free_with.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "network/mac_address.hpp"

namespace sluice::network {

using NetlinkSocket = std::unique_ptr<nl_sock, FreeWith<nl_socket_free>>;
using NetlinkCache = std::unique_ptr<nl_cache, FreeWith<nl_cache_free>>;
using NetlinkAddress = std::unique_ptr<nl_addr, FreeWith<nl_addr_put>>;
using NetlinkLink = std::unique_ptr<rtnl_link, FreeWith<rtnl_link_put>>;
using NetlinkNeighbor = std::unique_ptr<rtnl_neigh, FreeWith<rtnl_neigh_put>>;
using NetlinkRoute = std::unique_ptr<rtnl_route, FreeWith<rtnl_route_put>>;

// Opens a connected NETLINK_ROUTE socket for requests.
Result<NetlinkSocket> open_route_socket();

// Turns libnl's error code (negative) into an Error.
tl::unexpected<Error> fail_netlink(int code, std::string_view what);

NetlinkAddress to_netlink(const IpAddress& address);
// Converts an address; nullopt for null and for anything but an IP (or Ethernet) address.
std::optional<IpAddress> to_ip_address(nl_addr* address);
std::optional<MacAddress> to_mac_address(nl_addr* address);

}  // namespace sluice::network
