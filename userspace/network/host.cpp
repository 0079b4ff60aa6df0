#include "network/host.hpp"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>
#include <netlink/route/link/vlan.h>

#include <algorithm>

#include "network/netlink.hpp"

namespace sluice::network {
namespace {

Result<NetlinkCache> addresses(nl_sock* socket) {
  nl_cache* cache = nullptr;
  const int error = rtnl_addr_alloc_cache(socket, &cache);
  if (error < 0) return fail_netlink(error, "read the addresses");
  return NetlinkCache(cache);
}

Result<NetlinkCache> links(nl_sock* socket) {
  nl_cache* cache = nullptr;
  const int error = rtnl_link_alloc_cache(socket, AF_UNSPEC, &cache);
  if (error < 0) return fail_netlink(error, "read the links");
  return NetlinkCache(cache);
}

IpNetwork network_of(const IpAddress& address, unsigned length) {
  auto network = parse_ip_network(address.to_string() + "/" + std::to_string(length));
  return network ? *network : IpNetwork{address, address.is_v4() ? 32U : 128U};
}

void add_link(rtnl_link* link, Host& host) {
  HostLink one{.index = static_cast<std::uint32_t>(rtnl_link_get_ifindex(link)),
               .name = rtnl_link_get_name(link),
               .mac = to_mac_address(rtnl_link_get_addr(link))};
  if (rtnl_link_is_vlan(link)) one.parent = static_cast<std::uint32_t>(rtnl_link_get_link(link));
  host.links.push_back(std::move(one));
}

void add_address(rtnl_addr* object, Host& host) {
  auto* local = rtnl_addr_get_local(object);
  const auto address = to_ip_address(local);
  if (!address) return;
  // A point-to-point link's prefix is the peer's, which nobody else shares.
  const auto length = rtnl_addr_get_peer(object)
                          ? (address->is_v4() ? 32U : 128U)
                          : static_cast<unsigned>(rtnl_addr_get_prefixlen(object));
  host.addresses.push_back({*address, network_of(*address, length),
                            static_cast<std::uint32_t>(rtnl_addr_get_ifindex(object))});
}

struct Routes {
  Host& host;
  std::size_t read = 0;
};

void add_gateway(Host& host, const std::optional<IpAddress>& address, std::uint32_t interface) {
  if (!address) return;
  const bool known = std::ranges::any_of(
      host.gateways, [&](const HostGateway& one) { return one.address == *address; });
  if (!known) host.gateways.push_back({*address, interface});
}

int add_route(nl_msg* message, void* to) {
  auto& routes = *static_cast<Routes*>(to);
  rtnl_route* found = nullptr;
  if (rtnl_route_parse(nlmsg_hdr(message), &found) == 0) {
    const NetlinkRoute route(found);
    for (int i = 0; i < rtnl_route_get_nnexthops(found); ++i) {
      auto* hop = rtnl_route_nexthop_n(found, i);
      const auto interface = static_cast<std::uint32_t>(rtnl_route_nh_get_ifindex(hop));
      add_gateway(routes.host, to_ip_address(rtnl_route_nh_get_gateway(hop)), interface);
      add_gateway(routes.host, to_ip_address(rtnl_route_nh_get_via(hop)), interface);
    }
  }
  return ++routes.read < max_routes_read ? NL_OK : NL_STOP;
}

// The dump has a socket of its own, because the rest of a dump that was stopped stays in the
// socket.
Result<void> read_gateways(int family, Host& host) {
  const auto socket = open_route_socket();
  if (!socket) return tl::unexpected(socket.error());
  Routes routes{host};
  nl_socket_modify_cb(socket->get(), NL_CB_VALID, NL_CB_CUSTOM, add_route, &routes);
  int error = nl_rtgen_request(socket->get(), RTM_GETROUTE, family, NLM_F_DUMP);
  if (error >= 0) error = nl_recvmsgs_default(socket->get());
  if (error < 0 && error != -NLE_DUMP_INTR) return fail_netlink(error, "read the routes");
  return {};
}

std::string name_of(const Host& host, std::uint32_t interface) {
  const auto link = std::ranges::find(host.links, interface, &HostLink::index);
  return link == host.links.end() ? "interface " + std::to_string(interface) : link->name;
}

}  // namespace

Result<Host> read_host() {
  const auto socket = open_route_socket();
  if (!socket) return tl::unexpected(socket.error());
  Host host;
  const auto all_links = links(socket->get());
  if (!all_links) return tl::unexpected(all_links.error());
  auto* cache = all_links->get();
  for (auto* object = nl_cache_get_first(cache); object; object = nl_cache_get_next(object))
    add_link(reinterpret_cast<rtnl_link*>(object), host);
  const auto all_addresses = addresses(socket->get());
  if (!all_addresses) return tl::unexpected(all_addresses.error());
  cache = all_addresses->get();
  for (auto* object = nl_cache_get_first(cache); object; object = nl_cache_get_next(object))
    add_address(reinterpret_cast<rtnl_addr*>(object), host);
  for (const int family : {AF_INET, AF_INET6}) {
    if (auto read = read_gateways(family, host); !read) return tl::unexpected(read.error());
  }
  return host;
}

std::optional<std::string> own_on(const Host& host, const IpAddress& address) {
  const auto own = std::ranges::find(host.addresses, address, &HostAddress::address);
  if (own == host.addresses.end()) return std::nullopt;
  return "this host's own (" + name_of(host, own->interface_index) + ")";
}

std::optional<std::string> holder_on(const Host& host, const IpAddress& address) {
  if (auto own = own_on(host, address)) return own;
  const auto gateway = std::ranges::find(host.gateways, address, &HostGateway::address);
  if (gateway != host.gateways.end())
    return "the gateway of a route of this host (" + name_of(host, gateway->interface_index) + ")";
  return std::nullopt;
}

std::vector<Question> questions(const Host& host, const std::vector<std::uint32_t>& attached,
                                const IpAddress& address) {
  std::vector<Question> found;
  for (const auto& own : host.addresses) {
    if (own.address.is_v6() != address.is_v6() || !own.subnet.contains(address)) continue;
    const auto link = std::ranges::find(host.links, own.interface_index, &HostLink::index);
    if (link == host.links.end() || !link->mac) continue;
    const bool ours = std::ranges::count(attached, link->index) != 0 ||
                      (link->parent != 0 && std::ranges::count(attached, link->parent) != 0);
    const bool asked = std::ranges::any_of(
        found, [&](const Question& one) { return one.interface_index == link->index; });
    if (ours && !asked) found.push_back({link->index, own.address, address});
  }
  return found;
}

}  // namespace sluice::network
