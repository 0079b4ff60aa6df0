// What routers, clients and members do in the simulation, and what must hold.
#include <fmt/format.h>

#include <algorithm>

#include "tests/fleet/traffic.hpp"

namespace sluice::fleet::test {
namespace {

constexpr std::size_t clients = 100;
constexpr std::uint8_t members = 3;
// A change waits for a tick at most, and is a millisecond on its way.
constexpr Time batch{10};
constexpr Time longest_pause{400};  // between two packets

}  // namespace

// --- routes

void Traffic::routes_change(Time when) {
  ++changing_routes_;
  scheduler_.after(when, [this] {
    --changing_routes_;
    decide_routes();
  });
}

// Clients' packets go to nodes that announce the VIP, if there are any. Members' go to the one
// whose source address it is, as long as that is up.
void Traffic::decide_routes() {
  routes_.clear();
  sources_.clear();
  for (std::size_t number = 0; number < nodes_.size(); ++number) {
    const auto& node = nodes_[number];
    if (!node.table) continue;
    sources_.push_back(number);
    if (!node.is_drained && !node.is_joining) routes_.push_back(number);
  }
  if (routes_.empty()) routes_ = sources_;
}

std::optional<std::size_t> Traffic::node_for(Client client) const {
  if (routes_.empty()) return std::nullopt;
  const auto hash = settings_.has_one_way ? route_salt_ : client * 2654435761U + route_salt_;
  return routes_[hash % routes_.size()];
}

std::optional<std::size_t> Traffic::node_for_reply(const Connection& connection) const {
  if (settings_.has_one_way) return node_for(connection.client);
  if (sources_.empty()) return std::nullopt;
  const std::size_t owner = connection.way.source - 1U;
  const auto at = std::ranges::lower_bound(sources_, owner);
  return at == sources_.end() ? sources_.front() : *at;
}

// --- clients

// A node that had packets of a connection just before it ended elsewhere keeps it for a while. If
// its ports are taken again meanwhile, that node has the new one only when it is told once more, by
// a refresh.
Time Traffic::time_wait() const {
  return settings_.reuses_ports() ? Time(0) : ModelTable::lately + ModelTable::closing + Time(200);
}

void Traffic::open_one() {
  const auto client = static_cast<Client>(1 + scheduler_.below(clients));
  auto& latest = connections_[client];
  if (latest && (latest->is_alive() || scheduler_.now() < latest->over + time_wait())) return;
  latest = std::make_shared<Connection>(Connection{.client = client});
  const auto number = node_for(client);
  if (!number || !nodes_[*number].table) return give_up(*latest, "nobody answers");
  const auto member = static_cast<std::uint8_t>(1 + scheduler_.below(members));
  const auto way = nodes_[*number].table->open(client, member);
  if (!way) return give_up(*latest, "no source port is left");
  latest->way = *way;
  known_.insert({client, *way});
  scheduler_.after(scheduler_.between(1, 8), [this, connection = latest] { confirm(connection); });
}

// The client's second packet. Until it has come through, nobody promises anything.
void Traffic::confirm(const Shared& connection) {
  if (pass(*connection, false) != Fate::answered) return give_up(*connection, "it never opened");
  connection->state = Connection::State::open;
  connection->confirmed = scheduler_.now();
  talk_again(connection);
}

void Traffic::talk_again(const Shared& connection) {
  scheduler_.after(scheduler_.between(1, longest_pause.count()),
                   [this, connection] { talk(connection, 0); });
}

void Traffic::talk(const Shared& connection, unsigned tries) {
  if (is_quiet_ || !connection->is_alive()) return;
  if (is_mute_)
    return scheduler_.after(longest_pause, [this, connection, tries] { talk(connection, tries); });
  if (tries == 0) connection->is_last = scheduler_.chance(25);
  const bool is_last = connection->is_last && !is_settling_;
  const auto fate = pass(*connection, is_last);
  if (fate == Fate::reset) return give_up(*connection, "it is reset");
  if (fate == Fate::lost) {
    if (tries == most_tries) return give_up(*connection, "nobody answers");
    return scheduler_.after(pause_after(tries),
                            [this, connection, tries] { talk(connection, tries + 1); });
  }
  if (is_last) {
    connection->state = Connection::State::over;
    connection->over = scheduler_.now();
  } else {
    talk_again(connection);
  }
}

// Carries a packet of the client to its member, and one back.
Traffic::Fate Traffic::pass(Connection& connection, bool is_last) {
  const auto there = node_for(connection.client);
  if (!there || !nodes_[*there].table) return Fate::lost;
  auto& table = *nodes_[*there].table;
  const auto way = table.carry(connection.client, is_last);
  if (!way) return table.is_silent_for_strangers() ? Fate::lost : Fate::reset;
  if (*way != connection.way) return Fate::reset;  // by a member that doesn't know it
  // The last one ends it, whether or not its answer comes.
  const auto back = node_for_reply(connection);
  if (!back || !nodes_[*back].table) return is_last ? Fate::answered : Fate::lost;
  const auto client = nodes_[*back].table->answer(connection.way, is_last);
  return is_last || client == connection.client ? Fate::answered : Fate::lost;
}

// In a good network, no connection breaks that was confirmed before the last batch.
void Traffic::give_up(Connection& connection, const std::string& why) {
  const bool was_open = connection.state == Connection::State::open;
  connection.state = Connection::State::broken;
  connection.over = scheduler_.now();
  if (!was_open || connection.is_excused || !settings_.is_calm) return;
  if (scheduler_.now() - connection.confirmed <= batch) return;
  wrong(fmt::format("connection {} breaks: {}", connection.client, why));
}

// --- what must hold

void Traffic::check_put(const Node& node, Client client, const Way& way) {
  if (!known_.contains({client, way}))
    wrong(fmt::format("{} gets a connection that never was", node.name));
}

// A node is about to die, and all nodes follow each other.
void Traffic::look_at_the_survivors(std::size_t dead) {
  for (const auto& [client, flow] : nodes_[dead].table->flows()) {
    const auto& connection = connections_[client];
    if (!flow.is_confirmed || flow.is_replica || !connection->is_alive()) continue;
    if (scheduler_.now() - connection->confirmed <= batch) {
      connection->is_excused = true;
      continue;
    }
    if (!settings_.is_complete()) continue;
    for (const auto& node : nodes_) {
      if (&node == &nodes_[dead] || !node.table) continue;
      if (!node.table->has(client, connection->way))
        wrong(fmt::format("{} lacks connection {} when {} dies", node.name, client,
                          nodes_[dead].name));
    }
  }
}

// What is in the table belongs to a connection that lives; and all those are in it.
void Traffic::check_table(std::size_t number) {
  const auto& node = nodes_[number];
  const auto& flows = node.table->flows();
  for (const auto& [client, flow] : flows) {
    const auto& connection = connections_[client];
    const bool lives = connection->is_alive();
    // After a mishap a node may have what had the client's port before until that idles away.
    const bool is_known = settings_.leaves_nothing() || settings_.is_calm;
    if (lives && is_known && flow.way != connection->way)
      wrong(fmt::format("{} has another way for connection {}", node.name, client));
    // Nobody tells of a client that has given up: its connection idles away.
    const bool has_ended = connection->state == Connection::State::over || settings_.is_brief();
    const bool is_long_ago = scheduler_.now() - connection->over > time_to_idle();
    if (!lives && has_ended && is_long_ago && settings_.leaves_nothing())
      wrong(fmt::format("{} has a slot for connection {}, which is over", node.name, client));
    const bool is_on_its_way = node_for(client) == number || node_for_reply(*connection) == number;
    if (lives && settings_.is_brief() && !flow.is_replica && !is_on_its_way)
      wrong(fmt::format("{} handles connection {}, which goes elsewhere", node.name, client));
  }
  if (!settings_.is_complete()) return;
  for (const auto& [client, connection] : connections_) {
    if (connection->state == Connection::State::open && !flows.contains(client))
      wrong(fmt::format("{} lacks connection {}", node.name, client));
  }
}

void Traffic::check_shares(std::size_t number) {
  for (const auto& peer : nodes_[number].exchange->state().peers) {
    if (peer.replicas > settings_.share)
      wrong(fmt::format("{} has {} connections of {}, more than its share", nodes_[number].name,
                        peer.replicas, peer.address));
  }
}

std::vector<std::string> Traffic::check() {
  for (std::size_t number = 0; number < nodes_.size(); ++number) {
    check_table(number);
    check_shares(number);
  }
  return wrong_;
}

}  // namespace sluice::fleet::test
