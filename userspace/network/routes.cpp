#include "network/routes.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <algorithm>
#include <tuple>

#include "network/netlink.hpp"

namespace sluice::network {
namespace {

unsigned host_bits(const IpAddress& address) {
  return address.is_v4() ? 32U : 128U;
}

std::string text_of(const Announcement& announcement) {
  return announcement.network.to_string() +
         (announcement.in_main_table ? " in the main table" : "");
}

std::uint32_t table_of(const Announcement& announcement) {
  return announcement.in_main_table ? std::uint32_t(RT_TABLE_MAIN) : announcement_table;
}

std::uint32_t kernel_metric(const Announcement& announcement) {
  return announcement.metric + (announcement.in_main_table ? main_table_metric : 0);
}

// A route of ours: to a single address, by the loopback device, which is always up; "unreachable"
// in the main table.
NetlinkRoute to_route(const Announcement& announcement) {
  NetlinkRoute route(rtnl_route_alloc());
  const auto& network = announcement.network;
  const auto address = to_netlink(network.address);
  nl_addr_set_prefixlen(address.get(), static_cast<int>(network.prefix_length));
  auto* raw = route.get();
  rtnl_route_set_family(raw, network.is_v6() ? AF_INET6 : AF_INET);
  rtnl_route_set_dst(raw, address.get());
  rtnl_route_set_table(raw, table_of(announcement));
  rtnl_route_set_protocol(raw, announcement_protocol);
  rtnl_route_set_priority(raw, kernel_metric(announcement));
  rtnl_route_set_type(raw, announcement.in_main_table ? RTN_UNREACHABLE : RTN_UNICAST);
  rtnl_route_set_scope(raw, RT_SCOPE_UNIVERSE);
  if (!announcement.in_main_table) {
    auto* hop = rtnl_route_nh_alloc();
    rtnl_route_nh_set_ifindex(hop, static_cast<int>(if_nametoindex("lo")));
    rtnl_route_add_nexthop(raw, hop);  // the route's own from here on
    rtnl_route_set_scope(raw, network.is_v6() ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK);
  }
  return route;
}

bool is_as_we_make_them(rtnl_route* route, const Announcement& announcement) {
  if (announcement.network.prefix_length != host_bits(announcement.network.address)) return false;
  const int type = rtnl_route_get_type(route);
  if (announcement.in_main_table) {
    return type == RTN_UNREACHABLE && rtnl_route_get_priority(route) > main_table_metric;
  }
  if (type != RTN_UNICAST || rtnl_route_get_nnexthops(route) != 1) return false;
  auto* hop = rtnl_route_nexthop_n(route, 0);
  return rtnl_route_nh_get_ifindex(hop) == static_cast<int>(if_nametoindex("lo")) &&
         rtnl_route_nh_get_gateway(hop) == nullptr;
}

// The kernel's filter is not relied on alone: old kernels have none.
int take_route(nl_msg* message, void* to) {
  auto& found = *static_cast<Routes::Found*>(to);
  rtnl_route* parsed = nullptr;
  if (rtnl_route_parse(nlmsg_hdr(message), &parsed) != 0) return NL_OK;
  const NetlinkRoute route(parsed);
  const auto table = rtnl_route_get_table(parsed);
  if (rtnl_route_get_protocol(parsed) != announcement_protocol) return NL_OK;
  if (table != announcement_table && table != RT_TABLE_MAIN) return NL_OK;
  auto* destination = rtnl_route_get_dst(parsed);
  const auto length = destination ? nl_addr_get_prefixlen(destination) : 0U;
  auto address = to_ip_address(destination);
  if (!address) {  // 0.0.0.0/0 and ::/0 have no bytes
    address = rtnl_route_get_family(parsed) == AF_INET6 ? IpAddress(boost::asio::ip::address_v6())
                                                        : IpAddress(boost::asio::ip::address_v4());
  }
  Announcement one{.network = {*address, length},
                   .metric = rtnl_route_get_priority(parsed),
                   .in_main_table = table == RT_TABLE_MAIN};
  const bool sound = is_as_we_make_them(parsed, one);
  // Below main_table_metric this wraps round, and kernel_metric() wraps back.
  if (one.in_main_table) one.metric -= main_table_metric;
  if (sound) {
    found.sound.insert(std::move(one));
  } else {
    found.strange.push_back(std::move(one));
  }
  return NL_OK;
}

}  // namespace

struct Routes::Socket {
  NetlinkSocket requests, dumps;
};

bool Announcement::operator<(const Announcement& other) const {
  const auto key = [](const Announcement& one) {
    return std::tuple(one.network.prefix_length, one.metric, one.in_main_table);
  };
  if (network.address != other.network.address) return network.address < other.network.address;
  return key(*this) < key(other);
}

Announcements announcements(const std::vector<IpAddress>& vips, std::uint32_t metric,
                            bool ipv6_in_main_table) {
  Announcements wanted;
  for (const auto& vip : vips) {
    const IpNetwork network{vip, host_bits(vip)};
    wanted.insert({network, metric, false});
    if (vip.is_v6() && ipv6_in_main_table) wanted.insert({network, metric, true});
  }
  return wanted;
}

std::vector<RouteStep> steps(const Announcements& wanted, const Routes::Found& found) {
  std::vector<RouteStep> result;
  // A strange route may stand in the place of a wanted one.
  for (const auto& one : found.strange) result.push_back({false, one});
  // Both sets are in the order of addresses: all of a VIP's steps come together.
  std::vector<RouteStep> ordered;
  for (const auto& one : wanted) {
    if (!found.sound.contains(one)) ordered.push_back({true, one});
  }
  for (const auto& one : found.sound) {
    if (!wanted.contains(one)) ordered.push_back({false, one});
  }
  std::ranges::stable_sort(ordered, [](const RouteStep& a, const RouteStep& b) {
    const auto& left = a.announcement.network.address;
    const auto& right = b.announcement.network.address;
    if (left != right) return left < right;
    return left.is_v4() ? a.add < b.add : a.add > b.add;
  });
  result.insert(result.end(), ordered.begin(), ordered.end());
  return result;
}

Routes::Routes(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
Routes::Routes(Routes&&) noexcept = default;
Routes& Routes::operator=(Routes&&) noexcept = default;
Routes::~Routes() = default;

Result<Routes> Routes::open() {
  auto requests = open_route_socket();
  if (!requests) return tl::unexpected(requests.error());
  auto dumps = open_route_socket();
  if (!dumps) return tl::unexpected(dumps.error());
  // Has the kernel choose by table and protocol, so that a host with a full routing table lists a
  // few routes only. Kernels before 4.20 refuse it, and list all.
  const int strict = 1;
  (void)setsockopt(nl_socket_get_fd(dumps->get()), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict,
                   sizeof strict);
  return Routes(std::make_unique<Socket>(Socket{std::move(*requests), std::move(*dumps)}));
}

Result<Routes::Found> Routes::read() {
  auto* socket = socket_->dumps.get();
  Found found;
  nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, take_route, &found);
  for (const int family : {AF_INET, AF_INET6}) {
    for (const auto table : {announcement_table, std::uint32_t(RT_TABLE_MAIN)}) {
      rtmsg request{};
      request.rtm_family = static_cast<unsigned char>(family);
      request.rtm_table = static_cast<unsigned char>(table);
      request.rtm_protocol = announcement_protocol;
      int error = nl_send_simple(socket, RTM_GETROUTE, NLM_F_DUMP, &request, sizeof request);
      if (error >= 0) error = nl_recvmsgs_default(socket);
      // A table that nobody has used yet does not exist.
      if (error < 0 && error != -NLE_OBJ_NOTFOUND)
        return fail_netlink(error, "read the announcements of VIPs");
    }
  }
  return found;
}

Result<void> Routes::add(const Announcement& announcement) {
  const auto route = to_route(announcement);
  const int error = rtnl_route_add(socket_->requests.get(), route.get(), NLM_F_CREATE | NLM_F_EXCL);
  if (error < 0 && error != -NLE_EXIST)
    return fail_netlink(error, "announce " + text_of(announcement));
  return {};
}

// What it leads to doesn't matter: network, metric, table and protocol make it ours.
Result<void> Routes::remove(const Announcement& announcement) {
  NetlinkRoute route(rtnl_route_alloc());
  auto* raw = route.get();
  const auto address = to_netlink(announcement.network.address);
  nl_addr_set_prefixlen(address.get(), static_cast<int>(announcement.network.prefix_length));
  rtnl_route_set_family(raw, announcement.network.is_v6() ? AF_INET6 : AF_INET);
  rtnl_route_set_dst(raw, address.get());
  rtnl_route_set_table(raw, table_of(announcement));
  rtnl_route_set_protocol(raw, announcement_protocol);
  rtnl_route_set_priority(raw, kernel_metric(announcement));
  rtnl_route_set_type(raw, RTN_UNSPEC);
  rtnl_route_set_scope(raw, RT_SCOPE_NOWHERE);
  const int error = rtnl_route_delete(socket_->requests.get(), raw, 0);
  // The kernel says ESRCH.
  if (error < 0 && error != -NLE_OBJ_NOTFOUND && error != -NLE_NODEV)
    return fail_netlink(error, "withdraw " + text_of(announcement));
  return {};
}

Result<std::size_t> withdraw_announcements() {
  auto routes = Routes::open();
  if (!routes) return tl::unexpected(routes.error());
  const auto found = routes->read();
  if (!found) return tl::unexpected(found.error());
  const auto all = steps({}, *found);
  for (const auto& step : all) {
    if (auto removed = routes->remove(step.announcement); !removed)
      return tl::unexpected(removed.error());
  }
  return all.size();
}

}  // namespace sluice::network
