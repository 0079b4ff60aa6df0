// packet-cost: measures the XDP program's nanoseconds per packet, by number of flows.
//
// The real program is tail-called by a wrapper (packet_cost.bpf.c) under BPF_PROG_TEST_RUN. Every
// figure is a median of rounds in which all candidates take turns; "net" has the wrapper's own cost
// (measured in the same round) taken off. After each run the reason counters must have moved by
// exactly the number of packets, or the bench fails: a number can't come from packets that took
// another path.
//
// In one buffer the CPU overlaps successive packets: it looks for the second one's flow while it
// waits for the first one's memory. A driver's work between two packets leaves less of that. In
// `serial` rows each packet waits for the one before. In `live` rows batches of frames leave
// through a veth and must arrive at its other end; from those the cost of frames that are only sent
// back (XDP_TX) is taken off.
//
// Clients come in on one NIC, members are behind another, so that packets are rewritten and
// redirected. The flows are visited in one shuffled order, round after round: the worst case for a
// cache that they don't fit into. The memory's own cost is measured, too: reads of as many lines of
// ordinary memory in areas of three sizes, in a shuffled order, each waiting for the one before.
//
// With --object another version's program takes turns with this build's, over tables of its own
// with the same hash, configured by the same code. Its rows end with how much ours costs of it:
// net, round by round.
//
// Usage: packet_cost [--flows N...] [--rounds R] [--packets P] [--mode NAME...]
//                    [--object FILE [--program NAME]] [--json FILE]
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <boost/program_options.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <thread>

#include "dataplane/inspection_of_maps.hpp"
#include "dataplane/pending_sweep.hpp"
#include "maps/flow.h"
#include "maps/proxy.h"
#include "maps/reasons.h"
#include "tests/bench/walker.hpp"

namespace sluice::bench {
namespace {

constexpr std::uint8_t syn = 0x02, ack = 0x10;

void pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

constexpr Mode all_modes[] = {Mode::overlapping, Mode::serial, Mode::live};

const char* mode_name(Mode mode) {
  switch (mode) {
    case Mode::overlapping:
      return "overlapping";
    case Mode::serial:
      return "serial";
    case Mode::live:
      return "live";
  }
  return "";
}

// "to member" and how its packets come.
std::string in_mode(const std::string& name, Mode mode) {
  return mode == Mode::overlapping ? name : name + ", " + mode_name(mode);
}

struct Spread {
  double min = 0, median = 0, max = 0;
};
Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

struct Row {
  std::string name;
  std::uint32_t flows;
  Spread raw, net;
  // The ratio of ours to another version's program, round by round: with quartiles, because a round
  // is short and either half of it may have been disturbed.
  std::optional<Spread> ours_over_it;
};

// Of sweeps over a table with so many flows: nanoseconds.
struct SweepCost {
  std::string table;
  std::uint32_t flows;
  Spread whole;
  Spread longest_slice;  // of each sweep, in CPU time: what else the machine does is not in it
};

struct Results {
  std::vector<Row> rows;
  std::vector<SweepCost> sweeps;
  std::vector<std::pair<std::string, double>> scalings;  // of what, by what
};

struct Settings {
  std::vector<std::uint32_t> flows;
  std::string only;  // "IPv4 TCP"; empty: all
  std::vector<std::string> modes;
  int rounds;
  std::uint32_t packets;
  bool whole_table;
  bool only_sweeps;
  bool snat;
  bool other_version;
  std::optional<OtherObject> other;
  Wires* wires;

  bool has(Mode mode) const {
    return std::find(modes.begin(), modes.end(), mode_name(mode)) != modes.end();
  }
};

// The programs that take turns: this build's, and perhaps another version's.
using Subjects = std::vector<std::unique_ptr<Subject>>;

Subjects subjects(const Kind& kind, std::uint32_t flows, const Settings& settings) {
  Subjects all;
  all.push_back(std::make_unique<Subject>(kind, flows));
  if (settings.other) all.push_back(std::make_unique<Subject>(*all.front(), *settings.other));
  return all;
}

double run_floor(const Walker& walker, std::uint32_t packets, Mode mode, const Settings& settings) {
  walker.measure(walker.floor_fd(mode));
  const double ns = walker.run(packets, mode);
  if (mode == Mode::live) settings.wires->expect(packets);
  return ns;
}

// Says whether live frames that end so leave by a wire.
bool is_sent(std::uint32_t why) {
  return why == SLUICE_REASON_FORWARDED || why == SLUICE_REASON_REPLIED ||
         why == SLUICE_REASON_FLOW_CREATED;
}

// Runs `packets` packets and checks that exactly so many ended as `why`.
double run_checked(const Walker& walker, const Subject& subject, std::uint32_t why,
                   std::uint32_t packets, const Settings& settings, Mode mode = Mode::overlapping,
                   std::uint32_t may_miss = 0) {
  walker.measure(subject.loaded().xdp.get());
  const auto before = subject.reason(why);
  const double ns = walker.run(packets, mode);
  const auto counted = subject.reason(why) - before;
  if (counted > packets || counted + may_miss < packets)
    die(fmt::format("{} packets ran, but {} ended as reason {}", packets, counted, why));
  if (mode == Mode::live && is_sent(why)) settings.wires->expect(packets);
  return ns;
}

// The figures of all rounds, for each program.
class Rounds {
 public:
  explicit Rounds(const Subjects& all) : all_(all), raw_(all.size()), net_(all.size()) {}

  // The order of the programs in this round: each is first as often as the others.
  std::vector<std::size_t> order(int round) const {
    std::vector<std::size_t> numbers(all_.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    std::rotate(numbers.begin(), numbers.begin() + round % numbers.size(), numbers.end());
    return numbers;
  }
  void add(std::size_t number, double ns, double floor) {
    raw_[number].push_back(ns);
    net_[number].push_back(ns - floor);
  }
  std::vector<Row> rows(const std::string& name, std::uint32_t flows) const {
    std::vector<Row> rows;
    for (std::size_t number = 0; number < all_.size(); ++number) {
      const auto& other = all_[number]->name();
      rows.push_back({other.empty() ? name : name + ": " + other,
                      flows,
                      spread(raw_[number]),
                      spread(net_[number]),
                      {}});
      if (!other.empty()) rows.back().ours_over_it = ratios(net_.front(), net_[number]);
    }
    return rows;
  }

 private:
  static Spread ratios(const std::vector<double>& ours, const std::vector<double>& other) {
    std::vector<double> quotients;
    for (std::size_t round = 0; round < ours.size(); ++round)
      quotients.push_back(ours[round] / other[round]);
    std::sort(quotients.begin(), quotients.end());
    const auto quarter = quotients.size() / 4;
    return {quotients[quarter], quotients[quotients.size() / 2],
            quotients[quotients.size() - 1 - quarter]};
  }

  const Subjects& all_;
  std::vector<std::vector<double>> raw_, net_;
};

// Measures a row for each program; `walkers` has one list of packets for each, or one for all.
std::vector<Row> measure(const std::string& name, const std::vector<const Walker*>& walkers,
                         const Subjects& all, std::uint32_t why, Mode mode,
                         const Settings& settings) {
  Rounds rounds(all);
  for (int round = 0; round < settings.rounds; ++round) {
    const double floor = run_floor(*walkers.front(), settings.packets, mode, settings);
    for (const auto number : rounds.order(round)) {
      const auto& walker = walkers.size() == 1 ? *walkers.front() : *walkers[number];
      rounds.add(number, run_checked(walker, *all[number], why, settings.packets, settings, mode),
                 floor);
    }
  }
  return rounds.rows(in_mode(name, mode), walkers.front()->flows());
}

// Measures the other floor: a program that only swaps the MACs and sends the frame back.
Row measure_tx(const Walker& walker, const Settings& settings) {
  std::vector<double> raw, net;
  for (int round = 0; round < settings.rounds; ++round) {
    walker.measure(walker.drop_fd());
    const double floor = walker.run(settings.packets);
    walker.measure(walker.tx_fd());
    raw.push_back(walker.run(settings.packets));
    net.push_back(raw.back() - floor);
  }
  return {"floor: XDP_TX, MAC swap", walker.flows(), spread(raw), spread(net), {}};
}

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  check(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0, "ask for the CPU time");
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

struct Sweep {
  sluice_flow_sweep result{};
  std::chrono::nanoseconds longest_slice{};
};

// In slices, as sluiced does it. (Another version's program may do it in one.)
Sweep sweep_once(const Subject& subject) {
  Sweep sweep;
  sweep.result.slice_us = dataplane::sweep_slice.count();
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &sweep.result,
              .ctx_size_in = sizeof sweep.result);
  do {
    const auto began = cpu_time();
    check(bpf_prog_test_run_opts(subject.loaded().expire.get(), &options) == 0, "sweep");
    sweep.longest_slice = std::max(sweep.longest_slice, cpu_time() - began);
  } while (sweep.result.stage != SLUICE_SWEEP_OVER);
  return sweep;
}

// Takes all places of `proxy_pending`.
void fill_proxy_pending(const Subject& subject) {
  const int map = subject.loaded().map_fd("proxy_pending");
  if (map < 0) return;  // an older version
  sluice_proxy_key key{};
  sluice_proxy_pending pending{};
  pending.jiffies = sweep_once(subject).result.began;
  for (std::uint32_t i = 0; i < SLUICE_MAX_PROXY_PENDING; ++i) {
    key.protocol = i;
    check(bpf_map_update_elem(map, &key, &pending, BPF_ANY) == 0, "fill proxy_pending");
  }
}

double longest_step_over_pending(const Subject& subject, const sluice_flow_sweep& sweep) {
  const int map = subject.loaded().map_fd("proxy_pending");
  if (map < 0) return 0;
  dataplane::PendingSweep pending(map, sweep.began, sweep.hz);
  std::chrono::nanoseconds longest{};
  for (bool goes_on = true; goes_on;) {
    const auto began = cpu_time();
    const auto proceeded = pending.proceed();
    check(proceeded.has_value(), "go through proxy_pending");
    goes_on = *proceeded;
    longest = std::max(longest, cpu_time() - began);
  }
  return static_cast<double>(longest.count());
}

// Measures sweeps over the whole table (flow_sweep) with all these flows in it, none of them idle.
SweepCost measure_sweeps(const Subject& subject, std::uint32_t flows, const Settings& settings) {
  std::vector<double> took, slices;
  fill_proxy_pending(subject);
  for (int round = 0; round < settings.rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const auto sweep = sweep_once(subject);
    const std::chrono::duration<double, std::nano> ns = std::chrono::steady_clock::now() - begin;
    if (sweep.result.live != flows)
      die(fmt::format("a sweep saw {} of {} flows", sweep.result.live, flows));
    took.push_back(ns.count());
    slices.push_back(static_cast<double>(sweep.longest_slice.count()));
    slices.back() = std::max(slices.back(), longest_step_over_pending(subject, sweep.result));
  }
  return {subject.kind().name(), flows, spread(took), spread(slices)};
}

// Measures reading one line per flow without any program: a walk through `lines` cache lines that
// are spread over an area of so many, each naming the next. The area matters as much as the lines:
// the more pages it has, the more page table entries come from memory, too.
Row memory_alone(const std::string& area, std::size_t area_lines, std::uint32_t lines,
                 const Settings& settings) {
  struct alignas(64) Line {
    Line* next;
  };
  std::vector<Line> memory(std::max<std::size_t>(area_lines, lines));
  std::vector<std::uint32_t> order(memory.size());
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(2));
  for (std::uint32_t i = 0; i < lines; ++i) {
    memory[order[i]].next = &memory[order[(i + 1) % lines]];
  }
  std::vector<double> raw;
  const Line* line = &memory[order[0]];
  for (int round = 0; round < settings.rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint32_t i = 0; i < settings.packets; ++i) line = line->next;
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    raw.push_back(took.count() / settings.packets);
  }
  if (line == nullptr) die("the walk left its memory");  // keeps it from being optimized away
  return {"one line of memory, " + area, lines, spread(raw), spread(raw), {}};
}

// Measures packets from one side of all these flows, each of which must end as `why`; ns per
// packet, raw and net.
struct Cost {
  double raw, net;
};
Cost pass(const Subject& subject, std::vector<bench_tuple> tuples, std::uint8_t tcp_flags,
          std::uint32_t why, const Settings& settings, const char* nic = "lan0",
          std::uint32_t may_miss = 0) {
  const auto count = static_cast<std::uint32_t>(tuples.size());
  if (count == 0) return {0, 0};
  const bool from_members = std::string_view(nic) == "dmz0";
  const Walker walker(from_members ? subject.kind().from_members() : subject.kind(),
                      std::move(tuples), tcp_flags, nic);
  const double floor = run_floor(walker, count, Mode::overlapping, settings);
  walker.rewind(1);
  const double raw =
      run_checked(walker, subject, why, count, settings, Mode::overlapping, may_miss);
  return {raw, raw - floor};
}

// Opens these flows with a full handshake; returns the cost of creating one.
Cost open_flows(const Subject& subject, std::uint32_t first, std::uint32_t count,
                const Settings& settings) {
  const auto& kind = subject.kind();
  const auto clients = client_tuples(kind, kind.vip(), first, count);
  const auto cost = pass(subject, clients, syn, SLUICE_REASON_FLOW_CREATED, settings);
  pass(subject, subject.reverse_tuples(true), syn | ack, SLUICE_REASON_REPLIED, settings, "dmz0");
  // If a window is full, a half-open flow was evicted by another one.
  pass(subject, clients, ack, SLUICE_REASON_FORWARDED, settings, "lan0", count / 1000);
  if (kind.protocol == IPPROTO_TCP)
    pass(subject, subject.reverse_tuples(true), ack, SLUICE_REASON_REPLIED, settings, "dmz0");
  return cost;
}

// Opens all flows, so few at a time that unconfirmed ones don't evict each other. Each such part is
// a round.
Rounds establish(const Subjects& all, std::uint32_t flows, const Settings& settings) {
  constexpr std::uint32_t parts = 8, fewest = 2048;  // fewer only measure the cold start
  const std::uint32_t most = all.front()->capacity() / SLUICE_HALF_OPEN_SHARE / 2;
  const std::uint32_t at_a_time = std::min(most, std::max(flows / parts, fewest));
  if (!settings.whole_table) {
    for (const auto& subject : all) subject->fit_area(flows);
  }
  Rounds rounds(all);
  int round = 0;
  for (std::uint32_t first = 0; first < flows; first += at_a_time) {
    const auto count = std::min(at_a_time, flows - first);
    for (const auto number : rounds.order(round++)) {
      const auto cost = open_flows(*all[number], first, count, settings);
      rounds.add(number, cost.raw, cost.raw - cost.net);
    }
  }
  return rounds;
}

// Opens the same few again and again, in a table that fits into the cache: all costs but the
// memory's.
std::vector<Row> creation_in_warm_table(const Kind& kind, Mode mode, const Settings& settings) {
  constexpr std::uint32_t flows = 1024;
  const int count = 100 * settings.rounds;  // each takes a millisecond
  const auto all = subjects(kind, 8 * flows, settings);
  const Walker walker(kind, client_tuples(kind, kind.vip(), 0, flows), syn);
  Rounds rounds(all);
  for (int round = -1; round < count; ++round) {
    const double floor = run_floor(walker, flows, mode, settings);
    for (const auto number : rounds.order(round + 1)) {
      walker.rewind(1);
      const double ns =
          run_checked(walker, *all[number], SLUICE_REASON_FLOW_CREATED, flows, settings, mode);
      all[number]->forget_flows();
      if (round >= 0) rounds.add(number, ns, floor);  // the first one warms the cache
    }
  }
  return rounds.rows(in_mode("flow created, table warm", mode), flows);
}

// Opens flow after flow in a table for hardly more; the last part is the most expensive one.
std::vector<Row> creation_in_full_table(const Kind& kind, std::uint32_t flows,
                                        const Settings& settings) {
  const auto all = subjects(kind, flows + flows / 20, settings);
  return establish(all, flows, settings).rows("flow created, table up to 95 % full", flows);
}

// Measures the same packets while the other CPU sweeps over the table without a pause.
std::vector<Row> measure_beside_sweep(const Walker& walker, const Subjects& all,
                                      const Settings& settings) {
  std::atomic<bool> over = false;
  std::thread sweeper([&] {
    pin_to(1);
    while (!over) sweep_once(*all.front());
  });
  auto rows = measure("to member, beside a sweep", {&walker}, all, SLUICE_REASON_FORWARDED,
                      Mode::overlapping, settings);
  over = true;
  sweeper.join();
  rows.resize(1);  // it is this build's table that is swept
  return rows;
}

// The rate of both CPUs together over that of one: 2.0 is linear.
double scaling(const Walker& walker, const Subject& subject, std::uint32_t packets) {
  walker.measure(subject.loaded().xdp.get());
  walker.rewind(2);
  pin_to(0);
  const double alone = walker.run(packets);
  walker.rewind(2);
  std::vector<double> together(2);
  std::vector<std::thread> threads;
  for (unsigned cpu = 0; cpu < 2; ++cpu) {
    threads.emplace_back([&, cpu] {
      pin_to(cpu);
      together[cpu] = walker.run(packets);
    });
  }
  for (auto& thread : threads) thread.join();
  walker.rewind(1);
  return alone / together[0] + alone / together[1];
}

void append(std::vector<Row>& rows, std::vector<Row> more) {
  rows.insert(rows.end(), more.begin(), more.end());
}

// Packets of flows that are all established.
std::vector<Row> measure_established(const Subjects& all, std::uint32_t flows,
                                     const Settings& settings) {
  const auto& kind = all.front()->kind();
  const Walker to_member(kind, client_tuples(kind, kind.vip(), 0, flows), ack);
  // Each program chose the members' ports by itself.
  std::vector<std::unique_ptr<Walker>> to_client;
  std::vector<const Walker*> to_clients;
  for (const auto& subject : all) {
    to_client.push_back(
        std::make_unique<Walker>(kind.from_members(), subject->reverse_tuples(), ack, "dmz0"));
    to_clients.push_back(to_client.back().get());
  }
  std::vector<Row> rows;
  for (const Mode mode : all_modes) {
    if (!settings.has(mode)) continue;
    append(rows, measure("to member", {&to_member}, all, SLUICE_REASON_FORWARDED, mode, settings));
    append(rows, measure("to client", to_clients, all, SLUICE_REASON_REPLIED, mode, settings));
  }
  if (flows == 131072 && settings.has(Mode::overlapping) &&
      std::thread::hardware_concurrency() >= 2)
    append(rows, measure_beside_sweep(to_member, all, settings));
  return rows;
}

// Packets that are in no flow.
std::vector<Row> measure_strangers(const Subjects& all, std::uint32_t flows,
                                   const Settings& settings) {
  const auto& kind = all.front()->kind();
  std::vector<Row> rows;
  if (kind.protocol == IPPROTO_TCP) {
    const Walker stray(kind, client_tuples(kind, kind.vip(), flows, flows), ack);
    rows = measure("in no flow", {&stray}, all, SLUICE_REASON_NO_FLOW, Mode::overlapping, settings);
  }
  const Walker foreign(kind, client_tuples(kind, kind.nobody(), 0, flows), ack);
  append(rows,
         measure("not ours", {&foreign}, all, SLUICE_REASON_NOT_OURS, Mode::overlapping, settings));
  // From anybody to anybody, first with the addresses of 256 members and a VIP known.
  constexpr std::uint32_t pairs = 65536;
  const Walker strangers(kind, strangers_tuples(kind, pairs), ack);
  append(rows, measure("not ours, of anybody", {&strangers}, all, SLUICE_REASON_NOT_OURS,
                       Mode::overlapping, settings));
  for (const std::uint32_t addresses : {1000U, 10000U, 26000U}) {
    for (const auto& subject : all) subject->know_addresses(addresses);
    append(rows, measure(fmt::format("not ours, of anybody, {} addresses", addresses), {&strangers},
                         all, SLUICE_REASON_NOT_OURS, Mode::overlapping, settings));
  }
  rows.push_back(measure_tx(foreign, settings));
  return rows;
}

// Connections that begin. Cold ones are opened in `all`, which has none yet.
std::vector<Row> measure_creation(const Subjects& all, std::uint32_t flows,
                                  const Settings& settings) {
  const auto& kind = all.front()->kind();
  std::vector<Row> rows;
  for (const Mode mode : {Mode::overlapping, Mode::live}) {
    if (flows == 1024 && settings.has(mode))
      append(rows, creation_in_warm_table(kind, mode, settings));
  }
  if (flows == 131072 && settings.has(Mode::overlapping))
    append(rows, creation_in_full_table(kind, flows, settings));
  const auto opening = establish(all, flows, settings);
  // A few packets would only measure the cold start.
  if (flows >= 16384) append(rows, opening.rows("flow created, table cold", flows));
  return rows;
}

void bench(const Kind& kind, const Settings& settings, Results& results) {
  for (const auto flows : settings.flows) {
    pin_to(0);
    // The table has room to spare, because half-open flows are evicted from a full window.
    const auto all = subjects(kind, std::max(SLUICE_DEFAULT_FLOWS, flows + flows / 3), settings);
    if (settings.only_sweeps) {
      establish(all, flows, settings);
      results.sweeps.push_back(measure_sweeps(*all.front(), flows, settings));
      continue;
    }
    auto own = measure_creation(all, flows, settings);
    append(own, measure_established(all, flows, settings));
    if (settings.has(Mode::overlapping)) append(own, measure_strangers(all, flows, settings));
    // Reads in the default table's memory, in that of a table for these flows, and in that of the
    // flows alone.
    own.push_back(
        memory_alone("default area", SLUICE_FLOW_HOMES4(SLUICE_DEFAULT_FLOWS), flows, settings));
    own.push_back(memory_alone("fitted area", SLUICE_FLOW_HOMES4(flows), flows, settings));
    own.push_back(memory_alone("dense area", flows, flows, settings));
    for (auto& row : own) {
      row.name = kind.name() + ", " + row.name;
      results.rows.push_back(row);
    }
    const auto& ours = *all.front();
    results.sweeps.push_back(measure_sweeps(ours, flows, settings));
    if (settings.has(Mode::overlapping) && std::thread::hardware_concurrency() >= 2) {
      const Walker to_member(kind, client_tuples(kind, kind.vip(), 0, flows), ack);
      results.scalings.emplace_back(fmt::format("{}, {} flows", kind.name(), flows),
                                    scaling(to_member, ours, settings.packets));
    }
  }
}

Results bench(const Settings& settings) {
  Results results;
  for (const int family : {4, 6}) {
    for (const int protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
      if (!settings.only.empty() && Kind{family, protocol}.name() != settings.only) continue;
      bench({family, protocol, settings.snat, settings.other_version}, settings, results);
    }
  }
  if (results.rows.empty() && results.sweeps.empty()) {
    die("there is no '" + settings.only + "': IPv4 or IPv6, then TCP or UDP");
  }
  return results;
}

// The program's size: the instructions that the verifier walked through, and the JIT's bytes.
boost::json::object program_size() {
  const auto loaded = load_ours({.flows = 1024});
  bpf_prog_info info{};
  std::uint32_t length = sizeof info;
  check(bpf_obj_get_info_by_fd(loaded.xdp.get(), &info, &length) == 0, "ask for the program");
  return {{"verified_instructions", info.verified_insns},
          {"instructions", info.xlated_prog_len / 8},
          {"jited_bytes", info.jited_prog_len}};
}

void print(const Results& results) {
  fmt::print("{:<44}{:>10}{:>32}{:>32}\n", "packet", "flows", "raw ns min/median/max",
             "net ns min/median/max");
  for (const auto& row : results.rows) {
    fmt::print("{:<44}{:>10}{:>12.0f}{:>10.0f}{:>10.0f}{:>12.0f}{:>10.0f}{:>10.0f}\n", row.name,
               row.flows, row.raw.min, row.raw.median, row.raw.max, row.net.min, row.net.median,
               row.net.max);
  }
  for (const auto& row : results.rows) {
    if (!row.ours_over_it) continue;
    fmt::print("ours over {}, {} flows: median {:.3f}, half of the rounds {:.3f} to {:.3f}\n",
               row.name, row.flows, row.ours_over_it->median, row.ours_over_it->min,
               row.ours_over_it->max);
  }
  const auto size = program_size();
  fmt::print("program: {} instructions ({} bytes of machine code); the verifier walked {}\n",
             size.at("instructions").as_uint64(), size.at("jited_bytes").as_uint64(),
             size.at("verified_instructions").as_uint64());
  for (const auto& row : results.sweeps) {
    fmt::print(
        "sweep over the table with {} {} flows: {:.1f} ms; its longest slice {:.3f} ms of CPU "
        "time, "
        "{:.3f} of all sweeps\n",
        row.flows, row.table, row.whole.median / 1e6, row.longest_slice.median / 1e6,
        row.longest_slice.max / 1e6);
  }
  for (const auto& [flows, factor] : results.scalings) {
    fmt::print("two CPUs over one, {}: {:.2f}\n", flows, factor);
  }
}

void write_json(const std::string& path, const Results& results) {
  boost::json::array list, sweeps;
  const auto numbers = [](const Spread& s) {
    return boost::json::object{{"min", s.min}, {"median", s.median}, {"max", s.max}};
  };
  for (const auto& row : results.sweeps) {
    sweeps.push_back(boost::json::object{{"table", row.table},
                                         {"flows", row.flows},
                                         {"ns", numbers(row.whole)},
                                         {"longest_slice_cpu_ns", numbers(row.longest_slice)}});
  }
  for (const auto& row : results.rows) {
    list.push_back(boost::json::object{{"packet", row.name},
                                       {"flows", row.flows},
                                       {"raw_ns", numbers(row.raw)},
                                       {"net_ns", numbers(row.net)}});
    if (row.ours_over_it) list.back().as_object()["ours_over_it"] = numbers(*row.ours_over_it);
  }
  boost::json::array factors;
  for (const auto& [flows, factor] : results.scalings) {
    factors.push_back(boost::json::object{{"flows", flows}, {"two_cpus_over_one", factor}});
  }
  std::ofstream(path) << boost::json::object{{"packet_cost", list},
                                             {"sweeps", sweeps},
                                             {"scaling", factors},
                                             {"program", program_size()}}
                      << "\n";
}

int run(int argc, char** argv) {
  namespace po = boost::program_options;
  Settings settings;
  OtherObject other;
  std::string json;
  po::options_description options(
      "packet_cost: ns per packet of the XDP program, by number of flows");
  options.add_options()("help,h", "this text")  //
      ("flows",
       po::value(&settings.flows)
           ->multitoken()
           ->default_value({1, 1024, 16384, 131072, 1048576, 4194304},
                           "1 1024 16384 131072 1048576 4194304"),
       "numbers of connections in the table")                                                 //
      ("only", po::value(&settings.only), "one kind of packets: 'IPv4 TCP', 'IPv6 UDP' ...")  //
      ("mode",
       po::value(&settings.modes)
           ->multitoken()
           ->default_value({"overlapping", "serial", "live"}, "overlapping serial live"),
       "how packets come: one after the other as fast as the CPU can, each waiting for the one "
       "before, or as frames that leave")  //
      ("object", po::value(&other.file),
       "another version's sluice.bpf.o, measured beside this build's program")  //
      ("program", po::value(&other.program)->default_value("sluice_xdp"),
       "its XDP program")  //
      ("whole-table", po::bool_switch(&settings.whole_table),
       "flows have their homes in the whole table, as before sluiced's first sweep")  //
      ("sweeps", po::bool_switch(&settings.only_sweeps),
       "measures no packets, only sweeps over the table")  //
      ("snat", po::bool_switch(&settings.snat),
       "members see SNAT addresses in place of the VIP")  //
      ("other-version", po::bool_switch(&settings.other_version),
       "members have the other IP version")                                                   //
      ("rounds", po::value(&settings.rounds)->default_value(7), "rounds per figure")          //
      ("packets", po::value(&settings.packets)->default_value(1 << 20), "packets per round")  //
      ("json", po::value(&json), "also write the figures to this file");
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  if (values.count("help")) {
    std::cout << options;
    return 0;
  }
  for (const auto& mode : settings.modes) {
    if (std::none_of(std::begin(all_modes), std::end(all_modes),
                     [&](Mode one) { return mode == mode_name(one); }))
      die("there is no mode '" + mode + "': overlapping, serial, live");
  }
  if (!other.file.empty()) settings.other = other;
  enter_network();
  Wires wires;
  settings.wires = &wires;
  const auto results = bench(settings);
  print(results);
  if (!json.empty()) write_json(json, results);
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  try {
    return sluice::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "packet_cost: " << error.what() << "\n";
    return 1;
  }
}
