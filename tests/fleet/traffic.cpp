#include "tests/fleet/traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice::fleet::test {
namespace {

constexpr auto between_ticks = std::chrono::duration_cast<Time>(peers::Exchange::between_ticks);
constexpr Time between_sweeps{100}, between_looks{50};
constexpr Time longest_join{3000};
// All mishaps are over after so long.
constexpr Time longest_mishap{4000};
constexpr std::size_t most_in_a_socket = 300, most_recorded = 64;

const std::string key(64, 'a'), strangers_key(64, 'e');

peers::Keys keys(const std::string& text = key) {
  return *peers::Keys::parse(text);
}

}  // namespace

Traffic::Traffic(std::uint64_t seed, TrafficSettings settings)
    : scheduler_(seed), settings_(settings), nodes_(settings.nodes) {
  for (std::size_t number = 0; number < nodes_.size(); ++number)
    nodes_[number].name = fmt::format("lb{}", number + 1);
  for (std::size_t number = 0; number < nodes_.size(); ++number) start_machine(number);
  sweep();
  decide_routes();
}

void Traffic::wrong(std::string what) {
  wrong_.push_back(fmt::format("{} ms: {}", scheduler_.now().count(), what));
}

// --- nodes

// A machine that boots has an empty table, and gets the desired state a while later.
void Traffic::start_machine(std::size_t number) {
  auto& node = nodes_[number];
  if (node.table) return start_process(number);
  const auto source = settings_.has_one_way ? 0 : number + 1;
  const auto ports = settings_.reuses_ports() ? 48U : 4096U;
  node.table = std::make_unique<ModelTable>(
      scheduler_,
      ModelTable::Settings{.node = static_cast<std::uint8_t>(source),
                           .idle = settings_.idle,
                           .room = settings_.ring,
                           .source_ports = static_cast<std::uint16_t>(ports),
                           .first_port = static_cast<std::uint16_t>(scheduler_.below(ports)),
                           .fault = settings_.fault});
  node.table->on_put = [this, &node](Client client, const Way& way) {
    check_put(node, client, way);
  };
  node.is_joining = true;
  start_process(number);
  scheduler_.after(scheduler_.between(0, 1500), [this, number, table = node.table.get()] {
    auto& present = nodes_[number];
    if (present.table.get() != table) return;
    table->listeners.insert(2);
    if (present.exchange) present.exchange->know({});
  });
  join(number, node.table.get(), scheduler_.now());
}

void Traffic::stop_machine(std::size_t number) {
  stop_process(number);
  nodes_[number].table.reset();
}

void Traffic::start_process(std::size_t number) {
  auto& node = nodes_[number];
  if (!node.table || node.exchange) return;
  const auto run = ++node.run;
  node.skew = std::chrono::seconds(scheduler_.below(3600));
  node.exchange = std::make_unique<peers::Exchange>(
      keys(),
      peers::Exchange::Settings{
          .name = node.name, .kept = settings_.kept, .seed = scheduler_.below(1U << 30U)},
      peers::Exchange::Callbacks{
          .send =
              [this, number](const peers::Address& to, const peers::Bytes& bytes) {
                return post(number, static_cast<std::size_t>(to.back() - '1'), bytes);
              },
          .log = [](const std::string&) {}});
  node.exchange->use(node.table.get(), settings_.share);
  std::vector<peers::Address> others;
  for (const auto& other : nodes_) {
    if (&other != &node) others.push_back(other.name);
  }
  node.exchange->set_peers(others, clock_of(node));
  scheduler_.after(scheduler_.between(0, 4), [this, number, run] { tick(number, run); });
}

void Traffic::stop_process(std::size_t number) {
  auto& node = nodes_[number];
  node.exchange.reset();
  node.socket.clear();
  node.taken.clear();
  node.latest_run.clear();
  node.stalled_until = Time(0);
}

peers::Time Traffic::clock_of(const Node& node) const {
  return peers::Time(std::chrono::hours(1) + node.skew + scheduler_.now());
}

void Traffic::tick(std::size_t number, std::uint64_t run) {
  auto& node = nodes_[number];
  if (!node.exchange || node.run != run) return;
  const auto next = std::max(node.stalled_until, scheduler_.now() + between_ticks);
  scheduler_.at(next, [this, number, run] { tick(number, run); });
  if (scheduler_.now() < node.stalled_until) return;
  for (const auto& datagram : std::exchange(node.socket, {})) receive(node, datagram);
  node.exchange->tick(clock_of(node));
  if (node.table->unread() != 0)
    wrong(fmt::format("{} leaves {} changes in its ring", node.name, node.table->unread()));
}

void Traffic::sweep() {
  for (auto& node : nodes_) {
    if (node.table) node.table->sweep();
  }
  if (all_follow()) {
    if (!calm_since_) calm_since_ = scheduler_.now();
  } else {
    calm_since_.reset();
  }
  scheduler_.after(between_sweeps, [this] { sweep(); });
}

// Announces the node when it has the desired state and one peer's connections, or has waited for
// long.
void Traffic::join(std::size_t number, const ModelTable* table, Time since) {
  auto& node = nodes_[number];
  if (node.table.get() != table) return;
  const bool has_waited = scheduler_.now() - since > longest_join;
  if (has_waited || (follows(number, false) && node.table->listeners.size() == 2)) {
    node.is_joining = false;
    return routes_change(scheduler_.between(1, 50));
  }
  scheduler_.after(between_looks, [this, number, table, since] { join(number, table, since); });
}

bool Traffic::follows(std::size_t number, bool all) const {
  const auto& node = nodes_[number];
  if (!node.exchange || scheduler_.now() < node.stalled_until) return false;
  const auto state = node.exchange->state();
  const auto is_following = [](const auto& peer) {
    return peer.state == "FOLLOWING" && peer.missing == 0;
  };
  return all ? std::ranges::all_of(state.peers, is_following)
             : std::ranges::any_of(state.peers, is_following);
}

bool Traffic::all_follow() const {
  for (std::size_t number = 0; number < nodes_.size(); ++number) {
    if (!follows(number, true)) return false;
  }
  return true;
}

// --- the network between them

bool Traffic::post(std::size_t from, std::size_t to, const peers::Bytes& bytes) {
  if (bytes.size() > peers::max_datagram) wrong("a datagram is too large");
  if (scheduler_.chance(air_.unsent)) return false;
  Datagram datagram{from, to, nodes_[from].run, nodes_[to].run, ++datagrams_, bytes};
  if (scheduler_.chance(air_.strangers)) disturb(datagram);
  if (scheduler_.chance(air_.lost)) return true;
  send_on(datagram);
  if (scheduler_.chance(air_.doubled)) send_on(std::move(datagram));
  return true;
}

void Traffic::send_on(Datagram datagram) {
  const auto delay = scheduler_.chance(air_.late) ? scheduler_.between(1, 80) : Time(1);
  if (scheduler_.chance(air_.damaged)) {
    datagram.bytes[scheduler_.below(datagram.bytes.size())] ^= 0x10;
    datagram.is_strangers = true;
  }
  scheduler_.after(delay, [this, datagram = std::move(datagram)] { deliver(datagram); });
}

void Traffic::deliver(const Datagram& datagram) {
  auto& node = nodes_[datagram.to];
  if (!node.exchange || cuts_.contains({datagram.from, datagram.to})) return;
  if (scheduler_.now() < node.stalled_until) {
    if (node.socket.size() < most_in_a_socket) node.socket.push_back(datagram);
    return;
  }
  receive(node, datagram);
  node.exchange->settle(clock_of(node));
}

// Each datagram of a peer's present process to this one is taken once at most, and no other is.
void Traffic::receive(Node& node, const Datagram& datagram) {
  const auto& from = nodes_[datagram.from].name;
  if (!node.exchange->receive(from, datagram.bytes, clock_of(node))) return;
  auto& latest = node.latest_run[datagram.from];
  if (datagram.is_strangers)
    wrong(fmt::format("{} takes a stranger's datagram", node.name));
  else if (datagram.to_run != node.run || datagram.from_run < latest)
    wrong(fmt::format("{} takes a datagram of an earlier session", node.name));
  else if (!node.taken.insert(datagram.number).second)
    wrong(fmt::format("{} takes a datagram twice", node.name));
  latest = std::max(latest, datagram.from_run);
}

// A stranger sends again what was recorded, to whoever it was for or to somebody else, or seals
// something with another key.
void Traffic::disturb(const Datagram& datagram) {
  if (recorded_.size() < most_recorded) {
    recorded_.push_back(datagram);
  } else if (scheduler_.chance(10)) {
    recorded_[scheduler_.below(most_recorded)] = datagram;
  }
  auto made = recorded_[scheduler_.below(recorded_.size())];
  switch (scheduler_.below(4)) {
    case 0: {
      const auto to = scheduler_.below(nodes_.size());
      made.is_strangers = made.is_strangers || to != made.to;
      made.to = to;
      break;
    }
    case 1: {
      peers::Session session(keys(strangers_key));
      made.bytes = session.seal(peers::begin_body({}));
      made.is_strangers = true;
      break;
    }
    default:
      break;
  }
  send_on(std::move(made));
}

// --- mishaps

void Traffic::cut(std::size_t one, std::size_t other, Time how_long) {
  cuts_.insert({one, other});
  scheduler_.after(how_long, [this, one, other] { cuts_.erase({one, other}); });
}

// A silent death: routers notice it a while later.
void Traffic::kill(std::size_t number) {
  if (settings_.is_calm) look_at_the_survivors(number);
  stop_machine(number);
  routes_change(scheduler_.between(20, 400));
  scheduler_.after(scheduler_.between(500, 4000), [this, number] { start_machine(number); });
}

// An orderly one, after its packets have gone elsewhere.
void Traffic::reboot(std::size_t number) {
  nodes_[number].is_drained = true;
  routes_change(scheduler_.between(1, 20));
  scheduler_.after(scheduler_.between(100, 600), [this, number] {
    stop_machine(number);
    routes_change(Time(1));
    nodes_[number].is_drained = false;
    scheduler_.after(scheduler_.between(300, 3000), [this, number] { start_machine(number); });
  });
}

void Traffic::drain(std::size_t number) {
  nodes_[number].is_drained = true;
  routes_change(scheduler_.between(1, 50));
  scheduler_.after(scheduler_.between(100, 2000), [this, number] {
    nodes_[number].is_drained = false;
    routes_change(scheduler_.between(1, 50));
  });
}

void Traffic::restart(std::size_t number) {
  stop_process(number);
  scheduler_.after(scheduler_.between(1, 1500), [this, number] { start_process(number); });
}

void Traffic::have_a_mishap() {
  const auto number = scheduler_.below(nodes_.size());
  const auto other = scheduler_.below(nodes_.size());
  auto& node = nodes_[number];

  constexpr std::uint64_t deathless[] = {3, 4, 8};
  const auto kind = scheduler_.below(settings_.is_deathless ? std::size(deathless)
                                     : settings_.is_calm    ? 5
                                                            : 9);
  switch (settings_.is_deathless ? deathless[kind] : kind) {
    case 0:
      return node.table ? kill(number) : void();
    case 1:
      return restart(number);
    case 2:
      return node.table ? reboot(number) : void();
    case 3:
      return drain(number);
    case 4:
      ++route_salt_;
      return decide_routes();
    case 5:
      return cut(number, other, scheduler_.between(50, 4000));
    case 6: {
      const auto how_long = scheduler_.between(50, 4000);
      cut(number, other, how_long);
      return cut(other, number, how_long);
    }
    case 7:
      node.stalled_until = scheduler_.now() + scheduler_.between(20, 1500);
      return;
    default:
      air_ = {.lost = static_cast<unsigned>(scheduler_.below(30)),
              .doubled = static_cast<unsigned>(scheduler_.below(15)),
              .late = static_cast<unsigned>(scheduler_.below(50)),
              .damaged = static_cast<unsigned>(scheduler_.below(5)),
              .unsent = static_cast<unsigned>(scheduler_.below(10)),
              .strangers = static_cast<unsigned>(scheduler_.below(10))};
  }
}

// While the network is good, nothing happens before the last mishap is over.
bool Traffic::may_have_a_mishap() const {
  if (!settings_.is_calm) return true;
  return calm_since_ && scheduler_.now() - *calm_since_ >= Time(200) && changing_routes_ == 0 &&
         std::ranges::none_of(nodes_, [](const Node& node) {
           return !node.table || node.is_drained || node.is_joining;
         });
}

void Traffic::live(Time how_long) {
  const auto end = scheduler_.now() + how_long;
  auto next_mishap = scheduler_.now() + scheduler_.between(0, 1000);
  while (scheduler_.now() < end) {
    scheduler_.run_until(scheduler_.now() + scheduler_.between(1, 40));
    open_one();
    if (scheduler_.now() < next_mishap || !may_have_a_mishap()) continue;
    have_a_mishap();
    calm_since_.reset();
    next_mishap = scheduler_.now() + scheduler_.between(20, 1000);
  }
}

void Traffic::wait_until_calm() {
  calm_since_.reset();
  const auto patience = scheduler_.now() + Time(20'000);
  while (!may_have_a_mishap() && scheduler_.now() < patience)
    scheduler_.run_until(scheduler_.now() + between_sweeps);
  if (!may_have_a_mishap()) wrong("the nodes don't follow each other again");
}

void Traffic::roll() {
  wait_until_calm();
  is_mute_ = true;
  for (std::size_t number = 0; number < nodes_.size(); ++number) {
    if (scheduler_.chance(50)) restart(scheduler_.below(nodes_.size()));
    wait_until_calm();
    reboot(number);
  }
  wait_until_calm();
  is_mute_ = false;
}

void Traffic::settle() {
  air_ = {};
  is_settling_ = true;
  scheduler_.run_until(scheduler_.now() + longest_mishap);
  for (std::size_t number = 0; number < nodes_.size(); ++number) start_machine(number);
  const auto patience = scheduler_.now() + Time(20'000);
  while (!all_follow() && scheduler_.now() < patience)
    scheduler_.run_until(scheduler_.now() + between_sweeps);
  if (!all_follow()) wrong("the nodes don't follow each other again");
  // Two nodes that didn't hear of each other may have given one source port to two connections: the
  // one of which no answer arrives is given up, and idles away.
  if (settings_.reuses_ports()) scheduler_.run_until(scheduler_.now() + longest_trying);
  scheduler_.run_until(scheduler_.now() + time_to_idle());
  is_quiet_ = true;
  scheduler_.run_until(scheduler_.now() + Time(300));
}

}  // namespace sluice::fleet::test
