// Measures what it costs to tell a peer of connections: CPU time per record at the sender and at
// the receiver, and bytes on the wire; without the data planes, the sockets and the kernel between
// them. See tests/bench/README.md.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string_view>
#include <vector>

#include "peers/exchange.hpp"

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t records = 500'000;
constexpr std::size_t in_a_tick = 1000;  // 200,000 a second: connections that begin and end
constexpr int rounds = 7;
constexpr int records_of_a_connection = 2;

std::int64_t cpu_nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Has changes to tell, and takes what it is told.
struct Plane final : dataplane::Replicas {
  Result<void> tell_changes(bool) override { return {}; }
  Result<bool> tells() override { return true; }
  Result<std::vector<dataplane::FlowChange>> take(std::size_t limit) override {
    const auto count = std::min(limit, changes.size());
    std::vector<dataplane::FlowChange> taken(changes.end() - static_cast<std::ptrdiff_t>(count),
                                             changes.end());
    changes.resize(changes.size() - count);
    return taken;
  }
  Result<std::uint64_t> lost() override { return 0; }
  Result<void> put(std::span<sluice_flow_image> images) override {
    for (auto& image : images) image.result = SLUICE_PUT_DONE;
    told += images.size();
    return {};
  }
  Result<void> end(std::span<const sluice_flow_image> images) override {
    told += images.size();
    return {};
  }
  Result<void> walk(std::uint64_t& cursor, std::vector<sluice_flow_image>& images) override {
    cursor = 0;
    images.clear();
    return {};
  }
  Result<void> grace(std::chrono::milliseconds) override { return {}; }

  std::vector<dataplane::FlowChange> changes;
  std::size_t told = 0;
};

dataplane::FlowChange change(std::size_t number, std::uint8_t family) {
  dataplane::FlowChange change{};
  // A connection begins, and ends a thousand records later.
  const auto connection = number / 2000 * 1000 + number % 1000;
  change.event = number / 1000 % 2 == 0 ? dataplane::FlowEvent::begins : dataplane::FlowEvent::ends;
  auto& image = change.image;
  image.family = family;
  image.protocol = 1;
  image.client.words[family == 4 ? 0 : 3] = htonl(static_cast<std::uint32_t>(connection));
  image.client_port = htons(static_cast<std::uint16_t>(connection % 60'000));
  image.member_id.bytes[0] = static_cast<std::uint8_t>(connection % 16);
  return change;
}

struct Node {
  Plane plane;
  std::unique_ptr<peers::Exchange> exchange;
  std::vector<peers::Bytes> sent;
  std::int64_t cpu = 0;
};

template <typename Work>
void timed(Node& node, Work work) {
  const auto before = cpu_nanoseconds();
  work();
  node.cpu += cpu_nanoseconds() - before;
}

// What a record costs: ns of CPU at the sender for each peer, at each receiver; bytes on the wire.
struct Cost {
  double sender = 0, receiver = 0, bytes = 0;
};

Cost measure(std::uint8_t family) {
  std::vector<double> senders, receivers;
  double bytes = 0;
  for (int round = 0; round < rounds; ++round) {
    Node nodes[2];
    peers::Time now{1h};
    for (int i = 0; i < 2; ++i) {
      auto& node = nodes[i];
      node.exchange = std::make_unique<peers::Exchange>(
          *peers::Keys::parse(std::string(64, 'a')), peers::Exchange::Settings{.name = "node"},
          peers::Exchange::Callbacks{.send =
                                         [&node](const peers::Address&, const peers::Bytes& sent) {
                                           node.sent.push_back(sent);
                                           return true;
                                         },
                                     .log = [](const std::string&) {}});
      node.exchange->use(&node.plane, 1U << 20U);
      node.exchange->set_peers({"peer"}, now);
    }
    const auto turn = [&](Node& from, Node& to) {
      timed(from, [&] { from.exchange->tick(now); });
      timed(to, [&] {
        for (const auto& datagram : from.sent) to.exchange->receive("peer", datagram, now);
        to.exchange->settle(now);
      });
    };
    const auto run = [&] {
      now += 5ms;
      turn(nodes[0], nodes[1]);
      turn(nodes[1], nodes[0]);
      for (auto& node : nodes) node.sent.clear();
    };
    for (int i = 0; i < 500; ++i) run();
    nodes[0].cpu = nodes[1].cpu = 0;
    std::size_t sent_bytes = 0;
    for (std::size_t sent = 0; sent < records; sent += in_a_tick) {
      for (std::size_t i = 0; i < in_a_tick; ++i)
        nodes[0].plane.changes.push_back(change(sent + i, family));
      now += 5ms;
      turn(nodes[0], nodes[1]);
      for (const auto& datagram : nodes[0].sent) sent_bytes += datagram.size();
      turn(nodes[1], nodes[0]);
      for (auto& node : nodes) node.sent.clear();
    }
    if (nodes[1].plane.told != records) fmt::print("only {} arrived\n", nodes[1].plane.told);
    senders.push_back(static_cast<double>(nodes[0].cpu) / records);
    receivers.push_back(static_cast<double>(nodes[1].cpu) / records);
    bytes = static_cast<double>(sent_bytes) / records;
  }
  std::ranges::sort(senders);
  std::ranges::sort(receivers);
  fmt::print(
      "IPv{}: sender {:.0f} ns a record ({:.0f} to {:.0f}), receiver {:.0f} ns ({:.0f} to "
      "{:.0f}), {:.1f} bytes\n",
      family, senders[rounds / 2], senders.front(), senders.back(), receivers[rounds / 2],
      receivers.front(), receivers.back(), bytes);
  fmt::print("      {:.0f} records a second of one core at the sender, {:.0f} at the receiver\n",
             1e9 / senders[rounds / 2], 1e9 / receivers[rounds / 2]);
  return {senders[rounds / 2], receivers[rounds / 2], bytes};
}

// All nodes tell all others, so a node pays for each peer's connections as for its own: what nodes
// that carry as much each pay for a new connection of their own and one of each peer's.
void print_limit(std::string_view family, const Cost& cost) {
  constexpr double connections_a_second = 25'000;
  fmt::print("\n{}, each node carries {:.0f} new connections a second and tells all others\n",
             family, connections_a_second);
  fmt::print("  nodes | ns for each of its own | share of a core | Mbit/s out, and in | copies\n");
  for (const int nodes : {2, 4, 8, 16, 32}) {
    const double told = records_of_a_connection * (nodes - 1.0);
    const double cpu = told * (cost.sender + cost.receiver);
    fmt::print("  {:5} | {:22.0f} | {:13.1f} % | {:18.0f} | {:6}\n", nodes, cpu,
               cpu * connections_a_second / 1e9 * 100,
               told * cost.bytes * 8 * connections_a_second / 1e6, nodes - 1);
  }
}

}  // namespace
}  // namespace sluice::bench

int main() {
  const auto ipv4 = sluice::bench::measure(4);
  const auto ipv6 = sluice::bench::measure(6);
  sluice::bench::print_limit("IPv4", ipv4);
  sluice::bench::print_limit("IPv6", ipv6);
}
