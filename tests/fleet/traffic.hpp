// Traffic: connections through a fleet whose nodes tell each other of them, under one scheduler:
// the real exchange over a network that loses, doubles, delays, reorders and damages datagrams,
// model flow tables, routers, clients and members.
//
// Connections begin, talk and end. Meanwhile routes move, nodes join, are drained, restart and die,
// are cut off from each other, and strangers send what they have recorded or made up. Then all is
// well again, and after a while check() tells what is wrong.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "peers/exchange.hpp"
#include "tests/fleet/model_table.hpp"
#include "tests/fleet/scheduler.hpp"

namespace sluice::fleet::test {

// How bad the network between the nodes is, in percent of the datagrams.
struct Air {
  unsigned lost = 0, doubled = 0, late = 0, damaged = 0;
  unsigned unsent = 0;     // the socket takes none
  unsigned strangers = 0;  // who send one of theirs beside it
};

// What can't be put at once is tried again for so long.
constexpr Time longest_repair{6600};

// A client gives up when it has had no answer to so many packets, with longer and longer pauses.
constexpr unsigned most_tries = 14;
constexpr Time pause_after(unsigned tries) {
  return Time(std::min(100U << tries, 800U));
}
constexpr Time longest_trying = [] {
  Time sum{0};
  for (unsigned tries = 0; tries < most_tries; ++tries) sum += pause_after(tries);
  return sum;
}();

struct TrafficSettings {
  std::size_t nodes = 3;
  // The network is good, and no two mishaps come at a time: then no connection may break.
  bool is_calm = false;
  // No node dies, restarts or is cut off. Then nothing is left behind until it idles away: a node
  // may hear of a beginning from one node long after it heard of the end from another.
  bool is_deathless = false;
  // All packets go to one node, as in a pair; otherwise each client's to one of them.
  bool has_one_way = false;
  Time idle{0};  // of connections
  std::size_t share = 10'000;
  std::size_t ring = 10'000;  // of changes
  std::size_t kept = 8192;    // batches that are kept for a peer
  TableFault fault = TableFault::none;

  // All connections find room at each peer.
  bool is_complete() const { return share >= 10'000; }
  // Connections that are over idle away while the simulation lasts, and those that live are told of
  // once more.
  bool is_brief() const { return idle < Time(60'000); }
  // What is over must be gone when all is well again.
  bool leaves_nothing() const { return is_brief() || is_deathless; }
  // All nodes reboot, one after the other, while no connection has a packet.
  bool rolls() const { return is_calm && !is_brief(); }
  // Ports are taken again at once.
  bool reuses_ports() const { return is_brief() && !is_calm; }
};

class Traffic {
 public:
  Traffic(std::uint64_t seed, TrafficSettings settings);

  // Clients and mishaps for so long.
  void live(Time how_long);
  // Reboots all nodes, each when the one before is back; processes restart in between. Nobody says
  // anything meanwhile.
  void roll();
  // No more of either, until all must be well.
  void settle();
  // What is wrong, a line each.
  std::vector<std::string> check();

 private:
  struct Connection {
    enum class State { opening, open, over, broken };
    Client client = 0;
    State state = State::opening;
    Way way = {};
    Time confirmed{0}, over{0};
    bool is_last = false;     // its client's present packet
    bool is_excused = false;  // nobody has promised that it survives

    bool is_alive() const { return state == State::opening || state == State::open; }
  };
  using Shared = std::shared_ptr<Connection>;
  enum class Fate { answered, lost, reset };

  struct Datagram {
    std::size_t from, to;
    std::uint64_t from_run, to_run;  // of the processes when it was sent
    std::uint64_t number;
    peers::Bytes bytes;
    bool is_strangers = false;  // made up, damaged, or sent to another node than it was for
  };
  struct Node {
    std::string name;
    std::unique_ptr<ModelTable> table;            // none: the machine is down
    std::unique_ptr<peers::Exchange> exchange;    // none: its process is
    std::chrono::steady_clock::duration skew{0};  // of its clock
    bool is_drained = false, is_joining = false;
    std::uint64_t run = 0;  // grows with each start of the process
    Time stalled_until{0};  // the process gets no CPU
    std::vector<Datagram> socket;
    std::set<std::uint64_t> taken;
    std::map<std::size_t, std::uint64_t> latest_run;  // of the peers whose datagrams were taken
  };

  // Nodes.
  void start_machine(std::size_t number);
  void stop_machine(std::size_t number);
  void start_process(std::size_t number);
  void stop_process(std::size_t number);
  void tick(std::size_t number, std::uint64_t run);
  void sweep();
  void join(std::size_t number, const ModelTable* table, Time since);
  peers::Time clock_of(const Node& node) const;
  bool follows(std::size_t number, bool all) const;
  bool all_follow() const;

  // The network between them.
  bool post(std::size_t from, std::size_t to, const peers::Bytes& bytes);
  void send_on(Datagram datagram);
  void deliver(const Datagram& datagram);
  void receive(Node& node, const Datagram& datagram);
  void disturb(const Datagram& datagram);

  // Mishaps.
  bool may_have_a_mishap() const;
  void wait_until_calm();
  void have_a_mishap();
  void kill(std::size_t number);
  void reboot(std::size_t number);
  void drain(std::size_t number);
  void restart(std::size_t number);
  void cut(std::size_t one, std::size_t other, Time how_long);

  // Routers, clients and members.
  void routes_change(Time when);
  void decide_routes();
  std::optional<std::size_t> node_for(Client client) const;
  std::optional<std::size_t> node_for_reply(const Connection& connection) const;
  Time time_wait() const;
  void open_one();
  void confirm(const Shared& connection);
  void talk(const Shared& connection, unsigned tries);
  void talk_again(const Shared& connection);
  Fate pass(Connection& connection, bool is_last);
  void give_up(Connection& connection, const std::string& why);

  // What must hold.
  void check_put(const Node& node, Client client, const Way& way);
  void look_at_the_survivors(std::size_t dead);
  void check_table(std::size_t number);
  void check_shares(std::size_t number);
  // A replica is gone when it has been silent for so long.
  Time time_to_idle() const {
    return settings_.is_brief() ? settings_.idle * 3 / 2 + Time(1000) : longest_repair;
  }
  void wrong(std::string what);

  Scheduler scheduler_;
  TrafficSettings settings_;
  Air air_;
  std::vector<Node> nodes_;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;
  std::vector<Datagram> recorded_;  // by a stranger
  std::uint64_t datagrams_ = 0;
  // What routers have: the nodes that clients' packets may go to, and those that are up.
  std::vector<std::size_t> routes_, sources_;
  std::uint64_t route_salt_ = 0;
  unsigned changing_routes_ = 0;            // changes that are under way
  std::map<Client, Shared> connections_;    // each client's latest
  std::set<std::pair<Client, Way>> known_;  // all that there ever were
  std::optional<Time> calm_since_;          // all nodes follow each other
  bool is_mute_ = false;                    // no connection has packets for a while
  bool is_settling_ = false;                // no connection ends any more
  bool is_quiet_ = false;                   // nor has packets
  std::vector<std::string> wrong_;
};

}  // namespace sluice::fleet::test
