#include "network/neighbor_keeper.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <variant>

#include "network/arp_frame.hpp"
#include "network/discovery_frame.hpp"
#include "network/frame_sender.hpp"
#include "network/neighbor.hpp"
#include "network/netlink.hpp"

namespace sluice::network {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

// Requests to the kernel are synchronous and cost some 20 us each, so 10,000 addresses go in
// portions.
constexpr std::size_t portion = 100;
constexpr auto between_portions = std::chrono::milliseconds(20);
constexpr auto between_repetitions = std::chrono::seconds(1);
constexpr std::size_t max_remembered = 4096;
// Whoever sees routes change calls renew(). In case that somebody has missed a change, so many
// routes are looked up again in each round.
constexpr std::size_t looked_up_again = 200;

// Next hops are asked for their MAC once a second, to notice one that has changed it without
// announcing that. If there are more than can be asked at once, they take turns.
constexpr auto between_questions = std::chrono::seconds(1);
constexpr std::size_t questions_per_turn = 1000;
// After so long without an answer everybody is asked, because another host may have the address
// now.
constexpr std::uint32_t silent_milliseconds = 1500;
// After so long it counts as gone, and broadcasts about it become rare.
constexpr std::uint32_t gone_milliseconds = 6000;
constexpr int turns_between_rare_questions = 10;

using Key = std::pair<std::uint32_t, IpAddress>;  // interface and address

struct NextHop {
  std::uint32_t interface_index = 0;
  IpAddress address;
  std::optional<IpAddress> source = {};  // that the kernel would send from

  Key key() const { return {interface_index, address}; }
};

// The next hop of a packet to `destination`; nullopt if the kernel wouldn't send it to a neighbour
// (no route, unreachable, our own address).
std::optional<NextHop> next_hop(nl_sock* socket, const IpAddress& destination) {
  rtnl_route* found = nullptr;
  const auto address = to_netlink(destination);
  if (!address || rtnl_route_lookup(socket, address.get(), &found) < 0) return std::nullopt;
  const NetlinkRoute route(found);
  if (rtnl_route_get_type(found) != RTN_UNICAST || rtnl_route_get_nnexthops(found) < 1)
    return std::nullopt;
  auto* hop = rtnl_route_nexthop_n(found, 0);
  auto gateway = to_ip_address(rtnl_route_nh_get_gateway(hop));
  if (!gateway)
    gateway = to_ip_address(rtnl_route_nh_get_via(hop));  // an IPv6 gateway of an IPv4 route
  return NextHop{static_cast<std::uint32_t>(rtnl_route_nh_get_ifindex(hop)),
                 gateway.value_or(destination), to_ip_address(rtnl_route_get_pref_src(found))};
}

// NTF_USE creates the entry if it is missing and acts as if a packet were sent to it. The kernel
// also makes the entry an ordinary one, so an operator's own entries are left alone.
Result<void> use_neighbor(nl_sock* socket, const NextHop& hop) {
  const auto present = find_neighbor(socket, hop.interface_index, hop.address);
  if (!present) return tl::unexpected(present.error());
  if (*present && (*present)->is_fixed()) return {};
  const NetlinkNeighbor neighbor(rtnl_neigh_alloc());
  const auto address = to_netlink(hop.address);
  if (!neighbor || !address) return fail_errno(ENOMEM, "use a neighbour");
  rtnl_neigh_set_ifindex(neighbor.get(), static_cast<int>(hop.interface_index));
  rtnl_neigh_set_dst(neighbor.get(), address.get());
  rtnl_neigh_set_state(neighbor.get(), NUD_NONE);
  rtnl_neigh_set_flags(neighbor.get(), NTF_USE);
  const int error = rtnl_neigh_add(socket, neighbor.get(), NLM_F_CREATE);
  if (error < 0) return fail_netlink(error, "use neighbour " + hop.address.to_string());
  return {};
}

// Asks for the MAC of `target`, either at its last known MAC or by broadcast.
Result<void> ask(const FrameSender& sender, const IpAddress& source, const IpAddress& target,
                 const std::optional<MacAddress>& whom) {
  if (target.is_v6()) return sender.send(neighbor_solicitation(sender.mac(), source, target, whom));
  return sender.send(arp_request(sender.mac(), source, target, whom.value_or(broadcast_mac)));
}

// A next hop that is asked for.
struct Watched {
  IpAddress source;
  Clock::time_point seen;  // when a member was last found to be behind it
};

}  // namespace

struct NeighborKeeper::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor executor, NetlinkSocket socket_)
      : socket(std::move(socket_)), timer(executor), question_timer(executor) {}

  void keep_portion();
  void begin_round();
  void keep_one(const IpAddress& address, Clock::time_point now);
  void keep_hop(const NextHop& hop, Clock::time_point now);
  void use(const NextHop& hop);
  void ask_in_turn();
  void ask_next_hops();

  NetlinkSocket socket;
  asio::steady_timer timer, question_timer;
  std::map<Key, Watched> watched;  // the next hops of this round and the last one
  Key last_asked;
  int turn = 0;
  bool asking = false;
  // The addresses with their next hops; unset: to be looked up. The second nullopt: there is none.
  std::map<IpAddress, std::optional<std::optional<NextHop>>> kept;
  IpAddress looked_up_last;  // of those that are looked up again
  // Still to do in this round: next hops, and addresses whose next hop isn't known.
  std::deque<std::variant<NextHop, IpAddress>> due;
  Clock::time_point next_round = Clock::now();
  // Neighbours that were asked for a moment ago.
  std::map<std::pair<std::uint32_t, IpAddress>, Clock::time_point> recent;
};

// A gateway that many members share is kept once.
void NeighborKeeper::State::begin_round() {
  auto at = kept.upper_bound(looked_up_last);
  for (std::size_t i = 0; i < std::min(kept.size(), looked_up_again); ++i, ++at) {
    if (at == kept.end()) at = kept.begin();
    at->second.reset();
    looked_up_last = at->first;
  }
  due.clear();
  std::set<Key> hops;
  for (const auto& [address, hop] : kept) {
    if (!hop) {
      due.emplace_back(address);
    } else if (*hop && hops.insert((*hop)->key()).second) {
      due.emplace_back(**hop);
    }
  }
}

void NeighborKeeper::State::keep_one(const IpAddress& address, Clock::time_point now) {
  const auto found = kept.find(address);
  if (found == kept.end()) return;  // let go meanwhile
  if (!found->second) found->second.emplace(next_hop(socket.get(), address));
  if (const auto& hop = *found->second) keep_hop(*hop, now);
}

void NeighborKeeper::State::keep_hop(const NextHop& hop, Clock::time_point now) {
  use(hop);
  if (hop.source && hop.source->is_v6() == hop.address.is_v6())
    watched[hop.key()] = {*hop.source, now};
}

void NeighborKeeper::State::keep_portion() {
  const auto now = Clock::now();
  if (now >= next_round) {
    begin_round();
    next_round = now + period;
  }
  for (std::size_t i = 0; i < portion && !due.empty(); ++i) {
    const auto next = std::move(due.front());
    due.pop_front();
    if (const auto* hop = std::get_if<NextHop>(&next)) {
      keep_hop(*hop, now);
    } else {
      keep_one(std::get<IpAddress>(next), now);
    }
  }
  ask_in_turn();
  if (kept.empty()) return;
  timer.expires_at(due.empty() ? next_round : now + between_portions);
  timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self) self->keep_portion();
  });
}

void NeighborKeeper::State::ask_in_turn() {
  if (asking || watched.empty()) return;
  asking = true;
  question_timer.expires_after(between_questions);
  question_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self) return;
    self->asking = false;
    const auto now = Clock::now();
    std::erase_if(self->watched,
                  [&](const auto& one) { return now - one.second.seen > 2 * period; });
    self->ask_next_hops();
    self->ask_in_turn();
  });
}

// The kernel takes the answers and learns a new MAC from them, which the Watcher reports. By itself
// it would ask no sooner than half a minute after the last answer, and then wait for three seconds.
void NeighborKeeper::State::ask_next_hops() {
  const auto neighbors = all_neighbors(socket.get());
  if (!neighbors) return spdlog::debug("network: {}", neighbors.error().text());
  std::map<Key, const Neighbor*> known;
  for (const auto& neighbor : *neighbors) {
    Key key{neighbor.interface_index, neighbor.address};
    if (neighbor.mac && !neighbor.is_fixed() && watched.contains(key))
      known[std::move(key)] = &neighbor;
  }
  const bool rarely = turn++ % turns_between_rare_questions == 0;
  std::map<std::uint32_t, std::optional<FrameSender>> senders;
  auto at = known.upper_bound(last_asked);
  for (std::size_t i = 0; i < std::min(known.size(), questions_per_turn); ++i, ++at) {
    if (at == known.end()) at = known.begin();
    const auto& [key, neighbor] = *at;
    last_asked = key;
    auto sender = senders.find(key.first);
    if (sender == senders.end()) {
      auto opened = FrameSender::open(key.first);
      sender = senders.emplace(key.first, opened ? std::move(*opened) : std::nullopt).first;
    }
    if (!sender->second) continue;
    const auto& source = watched.at(key).source;
    (void)ask(*sender->second, source, key.second, neighbor->mac);
    const auto silent = neighbor->confirmed_milliseconds;
    if (silent > silent_milliseconds && (silent < gone_milliseconds || rarely))
      (void)ask(*sender->second, source, key.second, std::nullopt);
  }
}

// A gateway that many members share is asked for once.
void NeighborKeeper::State::use(const NextHop& hop) {
  const auto now = Clock::now();
  if (recent.size() >= max_remembered) recent.clear();
  const auto [last, is_new] = recent.try_emplace({hop.interface_index, hop.address}, now);
  if (!is_new && now - last->second < between_repetitions) return;
  last->second = now;
  if (auto result = use_neighbor(socket.get(), hop); !result)
    spdlog::debug("network: {}", result.error().text());
}

NeighborKeeper::NeighborKeeper(std::shared_ptr<State> state) : state_(std::move(state)) {}

NeighborKeeper::~NeighborKeeper() {
  if (!state_) return;
  state_->timer.cancel();
  state_->question_timer.cancel();
}

Result<NeighborKeeper> NeighborKeeper::start(asio::any_io_executor executor) {
  auto socket = open_route_socket();
  if (!socket) return tl::unexpected(std::move(socket.error()));
  return NeighborKeeper(std::make_shared<State>(std::move(executor), std::move(*socket)));
}

void NeighborKeeper::keep(const std::vector<IpAddress>& added) {
  bool any = false;
  for (const auto& address : added) {
    if (!state_->kept.try_emplace(address).second) continue;
    state_->due.emplace_front(address);
    any = true;
  }
  if (any) state_->keep_portion();
}

void NeighborKeeper::let_go(const std::vector<IpAddress>& removed) {
  for (const auto& address : removed) state_->kept.erase(address);
}

void NeighborKeeper::renew() {
  for (auto& [address, hop] : state_->kept) hop.reset();
  state_->recent.clear();
  state_->next_round = Clock::now();
  state_->keep_portion();
}

void NeighborKeeper::resolve(std::uint32_t interface_index, const IpAddress& neighbor) {
  state_->use({interface_index, neighbor});
}

}  // namespace sluice::network
