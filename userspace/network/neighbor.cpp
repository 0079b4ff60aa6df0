#include "network/neighbor.hpp"

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace sluice::network {
namespace {

using NetlinkMessage = std::unique_ptr<nl_msg, FreeWith<nlmsg_free>>;

std::optional<IpAddress> address_in(int family, const nlattr* attribute) {
  if (!attribute) return std::nullopt;
  const auto* bytes = static_cast<const std::uint8_t*>(nla_data(attribute));
  if (family == AF_INET && nla_len(attribute) == 4) {
    boost::asio::ip::address_v4::bytes_type ip;
    std::copy_n(bytes, ip.size(), ip.begin());
    return boost::asio::ip::address_v4(ip);
  }
  if (family == AF_INET6 && nla_len(attribute) == 16) {
    boost::asio::ip::address_v6::bytes_type ip;
    std::copy_n(bytes, ip.size(), ip.begin());
    return boost::asio::ip::address_v6(ip);
  }
  return std::nullopt;
}

std::optional<Neighbor> parse(nlmsghdr* header) {
  if (header->nlmsg_type != RTM_NEWNEIGH) return std::nullopt;
  nlattr* attributes[NDA_MAX + 1];
  if (nlmsg_parse(header, sizeof(ndmsg), attributes, NDA_MAX, nullptr) < 0) return std::nullopt;
  const auto* info = static_cast<const ndmsg*>(nlmsg_data(header));
  const auto address = address_in(info->ndm_family, attributes[NDA_DST]);
  if (!address) return std::nullopt;

  Neighbor neighbor{
      static_cast<std::uint32_t>(info->ndm_ifindex), *address, info->ndm_state, {}, 0};
  const auto* mac = attributes[NDA_LLADDR];
  if (mac && nla_len(mac) == static_cast<int>(sizeof(MacAddress))) {
    neighbor.mac.emplace();
    std::copy_n(static_cast<const std::uint8_t*>(nla_data(mac)), neighbor.mac->size(),
                neighbor.mac->begin());
  }
  if (const auto* cache = attributes[NDA_CACHEINFO];
      cache && nla_len(cache) >= static_cast<int>(sizeof(nda_cacheinfo))) {
    const auto* times = static_cast<const nda_cacheinfo*>(nla_data(cache));
    static const auto ticks = static_cast<std::uint32_t>(sysconf(_SC_CLK_TCK));
    neighbor.confirmed_milliseconds = times->ndm_confirmed * (1000 / ticks);
  }
  return neighbor;
}

// Sends the request and reads answers until the kernel says that there are no more. `found` is
// emptied. 0, or libnl's error.
int ask(nl_sock* socket, nl_msg* request, std::vector<Neighbor>& found) {
  found.clear();
  int error = nl_send_auto(socket, request);
  if (error < 0) return error;
  const std::unique_ptr<nl_cb, FreeWith<nl_cb_put>> callbacks(
      nl_cb_clone(std::unique_ptr<nl_cb, FreeWith<nl_cb_put>>(nl_socket_get_cb(socket)).get()));
  if (!callbacks) return -NLE_NOMEM;
  struct Reading {
    std::vector<Neighbor>& found;
    bool done = false;
  } reading{found};
  const auto take = [](nl_msg* message, void* to) -> int {
    if (auto neighbor = parse(nlmsg_hdr(message)))
      static_cast<Reading*>(to)->found.push_back(std::move(*neighbor));
    return NL_OK;
  };
  const auto finish = [](nl_msg*, void* to) -> int {
    static_cast<Reading*>(to)->done = true;
    return NL_STOP;
  };
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, take, &reading);
  nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, finish, &reading);
  nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, finish, &reading);
  while (!reading.done) {
    error = nl_recvmsgs(socket, callbacks.get());
    if (error < 0) return error;
  }
  return 0;
}

NetlinkMessage request(int flags, const ndmsg& header) {
  NetlinkMessage message(nlmsg_alloc_simple(RTM_GETNEIGH, flags));
  auto copy = header;
  if (message && nlmsg_append(message.get(), &copy, sizeof copy, NLMSG_ALIGNTO) < 0)
    message.reset();
  return message;
}

}  // namespace

Result<std::optional<Neighbor>> find_neighbor(nl_sock* socket, std::uint32_t interface_index,
                                              const IpAddress& address) {
  const auto destination = to_netlink(address);
  ndmsg header{};
  header.ndm_family = static_cast<unsigned char>(address.is_v4() ? AF_INET : AF_INET6);
  header.ndm_ifindex = static_cast<int>(interface_index);
  const auto message = request(NLM_F_REQUEST, header);
  if (!message || !destination || nla_put_addr(message.get(), NDA_DST, destination.get()) < 0)
    return fail_errno(ENOMEM, "find a neighbour");
  std::vector<Neighbor> found;
  const int error = ask(socket, message.get(), found);
  if (error == -NLE_OBJ_NOTFOUND) return std::optional<Neighbor>();
  if (error < 0) return fail_netlink(error, "find neighbour " + address.to_string());
  if (found.empty()) return std::optional<Neighbor>();
  return std::optional(std::move(found.front()));
}

Result<std::vector<Neighbor>> all_neighbors(nl_sock* socket) {
  const auto message = request(NLM_F_REQUEST | NLM_F_DUMP, ndmsg{});
  if (!message) return fail_errno(ENOMEM, "read the neighbours");
  std::vector<Neighbor> found;
  // A table that has changed while it was read is read again next time.
  const int error = ask(socket, message.get(), found);
  if (error < 0 && error != -NLE_DUMP_INTR) return fail_netlink(error, "read the neighbours");
  return found;
}

}  // namespace sluice::network
