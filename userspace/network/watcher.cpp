#include "network/watcher.hpp"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "network/change_filter.hpp"
#include "network/netlink.hpp"
#include "network/routes.hpp"

namespace sluice::network {
namespace {

namespace asio = boost::asio;

constexpr int receive_buffer_bytes = 4 << 20;  // room for thousands of notifications
constexpr int datagrams_per_turn = 256;        // then others on the event loop get theirs

LinkFacts facts_of(rtnl_link* link) {
  constexpr unsigned running = IFF_UP | IFF_RUNNING;
  return {.mac = to_mac_address(rtnl_link_get_addr(link)),
          .running = (rtnl_link_get_flags(link) & running) == running,
          .mtu = rtnl_link_get_mtu(link),
          .master = static_cast<std::uint32_t>(rtnl_link_get_master(link))};
}

}  // namespace

struct Watcher::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor executor, Callbacks callbacks_)
      : callbacks(std::move(callbacks_)), descriptor(executor), timer(executor) {}
  ~State() { descriptor.release(); }  // libnl closes it

  Result<void> subscribe();
  Result<void> read_all();  // links and neighbours, as if each had just been notified
  void wait();
  void receive();
  void resync();
  void next_hops_changed();

  // Each of these takes one object of a notification or of a dump.
  void take(nl_msg* message);
  void take_link(rtnl_link* link);
  void take_neighbor(rtnl_neigh* neighbor);

  Callbacks callbacks;
  NetlinkSocket notifications;
  NetlinkSocket requests;
  asio::posix::stream_descriptor descriptor;
  asio::steady_timer timer;
  ChangeFilter filter;
  bool call_pending = false;
  bool quiet = true;  // while the start's dump comes in
  bool stopped = false;
};

Result<void> Watcher::State::subscribe() {
  auto socket = open_route_socket();
  if (!socket) return tl::unexpected(std::move(socket.error()));
  notifications = std::move(*socket);
  auto* raw = notifications.get();
  nl_socket_disable_seq_check(raw);
  const auto on_message = [](nl_msg* message, void* state) -> int {
    static_cast<State*>(state)->take(message);
    return NL_OK;
  };
  nl_socket_modify_cb(raw, NL_CB_VALID, NL_CB_CUSTOM, on_message, this);
  const int error = nl_socket_add_memberships(
      raw, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE,
      RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE, RTNLGRP_NONE);
  if (error < 0) return fail_netlink(error, "subscribe to route notifications");
  nl_socket_set_nonblocking(raw);
  // Exceeding the system's limit needs CAP_NET_ADMIN; without it the default remains.
  const int fd = nl_socket_get_fd(raw);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  descriptor.assign(fd);
  return {};
}

Result<void> Watcher::State::read_all() {
  nl_cache* cache = nullptr;
  int error = rtnl_link_alloc_cache(requests.get(), AF_UNSPEC, &cache);
  if (error < 0) return fail_netlink(error, "read the links");
  const NetlinkCache links(cache);
  for (auto* object = nl_cache_get_first(cache); object; object = nl_cache_get_next(object)) {
    take_link(reinterpret_cast<rtnl_link*>(object));
  }

  error = rtnl_neigh_alloc_cache(requests.get(), &cache);
  if (error < 0) return fail_netlink(error, "read the neighbours");
  const NetlinkCache neighbors(cache);
  for (auto* object = nl_cache_get_first(cache); object; object = nl_cache_get_next(object)) {
    take_neighbor(reinterpret_cast<rtnl_neigh*>(object));
  }
  return {};
}

void Watcher::State::wait() {
  descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          if (error || self->stopped) return;
                          self->receive();
                          if (!self->stopped) self->wait();
                        });
}

void Watcher::State::receive() {
  for (int i = 0; i < datagrams_per_turn && !stopped; ++i) {
    const int result = nl_recvmsgs_default(notifications.get());
    if (result == -NLE_AGAIN) return;
    // NLE_NOMEM is ENOBUFS: we were too slow and the kernel has dropped notifications.
    if (result < 0) return resync();
  }
}

void Watcher::State::resync() {
  spdlog::debug("network: notifications were lost; reading links and neighbours again");
  next_hops_changed();
  if (auto result = read_all(); !result) spdlog::debug("network: {}", result.error().text());
}

void Watcher::State::next_hops_changed() {
  if (quiet || call_pending) return;
  call_pending = true;
  timer.expires_after(debounce);
  timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    self->call_pending = false;
    if (!error && !self->stopped) self->callbacks.next_hops_changed();
  });
}

void Watcher::State::take(nl_msg* message) {
  auto* header = nlmsg_hdr(message);
  switch (header->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const auto on_link = [](nl_object* object, void* state) {
        static_cast<State*>(state)->take_link(reinterpret_cast<rtnl_link*>(object));
      };
      const auto* info = static_cast<ifinfomsg*>(nlmsg_data(header));
      if (info->ifi_family != AF_UNSPEC) return;  // a bridge tells of its ports
      if (header->nlmsg_type == RTM_NEWLINK) {
        nl_msg_parse(message, on_link, this);
      } else if (filter.link_gone(static_cast<std::uint32_t>(info->ifi_index))) {
        next_hops_changed();
      }
      return;
    }
    case RTM_NEWNEIGH: {
      rtnl_neigh* neighbor = nullptr;
      if (rtnl_neigh_parse(header, &neighbor) == 0) take_neighbor(NetlinkNeighbor(neighbor).get());
      return;
    }
    case RTM_DELNEIGH:
      return;
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const auto* route = static_cast<rtmsg*>(nlmsg_data(header));
      if (route->rtm_protocol != announcement_protocol) return next_hops_changed();
      if (callbacks.announcements_changed) callbacks.announcements_changed();
      return;
    }
    default:  // addresses, rules
      return next_hops_changed();
  }
}

void Watcher::State::take_link(rtnl_link* link) {
  if (rtnl_link_get_family(link) != AF_UNSPEC) return;
  const auto index = static_cast<std::uint32_t>(rtnl_link_get_ifindex(link));
  const auto change = filter.link(index, facts_of(link));
  if (change == ChangeFilter::LinkChange::none) return;
  next_hops_changed();
  if (change == ChangeFilter::LinkChange::identity && !quiet) callbacks.link_changed(index);
}

void Watcher::State::take_neighbor(rtnl_neigh* neighbor) {
  constexpr int valid =
      NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE;
  const int family = rtnl_neigh_get_family(neighbor);
  if ((family != AF_INET && family != AF_INET6) || !(rtnl_neigh_get_state(neighbor) & valid))
    return;
  const auto address = to_ip_address(rtnl_neigh_get_dst(neighbor));
  const auto mac = to_mac_address(rtnl_neigh_get_lladdr(neighbor));
  const auto index = static_cast<std::uint32_t>(rtnl_neigh_get_ifindex(neighbor));
  if (address && mac && filter.neighbor(index, *address, *mac)) next_hops_changed();
}

Watcher::Watcher(std::shared_ptr<State> state) : state_(std::move(state)) {}

Watcher::~Watcher() {
  if (!state_) return;
  state_->stopped = true;
  state_->timer.cancel();
  state_->descriptor.cancel();
}

Result<Watcher> Watcher::start(asio::any_io_executor executor, Callbacks callbacks) {
  auto state = std::make_shared<State>(std::move(executor), std::move(callbacks));
  auto requests = open_route_socket();
  if (!requests) return tl::unexpected(std::move(requests.error()));
  state->requests = std::move(*requests);
  // First subscribe, then read, so that nothing falls in between.
  if (auto result = state->subscribe(); !result) return tl::unexpected(std::move(result.error()));
  if (auto result = state->read_all(); !result) return tl::unexpected(std::move(result.error()));
  state->quiet = false;
  state->wait();
  return Watcher(std::move(state));
}

}  // namespace sluice::network
