#include "network/vlans.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netlink/route/link/vlan.h>

#include "network/netlink.hpp"

namespace sluice::network {

Result<std::vector<VlanInterface>> vlan_interfaces() {
  const auto socket = open_route_socket();
  if (!socket) return tl::unexpected(socket.error());
  nl_cache* cache = nullptr;
  const int error = rtnl_link_alloc_cache(socket->get(), AF_UNSPEC, &cache);
  if (error < 0) return fail_netlink(error, "read the links");
  const NetlinkCache links(cache);
  std::vector<VlanInterface> found;
  for (auto* object = nl_cache_get_first(cache); object; object = nl_cache_get_next(object)) {
    auto* link = reinterpret_cast<rtnl_link*>(object);
    if (!rtnl_link_is_vlan(link)) continue;
    // libnl gives the protocol in network byte order; kernels before 802.1ad support give none.
    const auto protocol = ntohs(static_cast<std::uint16_t>(rtnl_link_vlan_get_protocol(link)));
    found.push_back({.index = static_cast<std::uint32_t>(rtnl_link_get_ifindex(link)),
                     .name = rtnl_link_get_name(link),
                     .parent = static_cast<std::uint32_t>(rtnl_link_get_link(link)),
                     .id = static_cast<std::uint16_t>(rtnl_link_vlan_get_id(link)),
                     .ethertype = protocol == ETH_P_8021AD ? std::uint16_t{ETH_P_8021AD}
                                                           : std::uint16_t{ETH_P_8021Q}});
  }
  return found;
}

}  // namespace sluice::network
