// packet-cost: measures the XDP program's nanoseconds per packet, by number of flows.
//
// The real program is tail-called by a wrapper (packet_cost.bpf.c) under BPF_PROG_TEST_RUN. Every
// figure is a median of rounds in which all candidates take turns; "net" has the wrapper's own cost
// (measured in the same round) taken off. After each run the reason counters must have moved by
// exactly the number of packets, or the bench fails: a number can't come from packets that took
// another path.
//
// The CPU overlaps successive packets: it looks for the second one's flow while it waits for the
// first one's memory. A driver's work between two packets leaves less of that. In `serial` rows
// each packet waits for the one before.
//
// Clients come in on one NIC, members are behind another, so that packets are rewritten and
// redirected. The flows are visited in one shuffled order, round after round: the worst case for a
// cache that they don't fit into. The memory's own cost is measured, too: reads of as many lines of
// ordinary memory in areas of three sizes, in a shuffled order, each waiting for the one before.
//
// Usage: packet_cost [--flows N...] [--rounds R] [--packets P] [--json FILE]
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <boost/program_options.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <numeric>
#include <random>
#include <thread>

#include "maps/flow.h"
#include "maps/reasons.h"
#include "tests/bench/walker.hpp"

namespace sluice::bench {
namespace {

using kernel::Program;

constexpr std::uint8_t syn = 0x02, ack = 0x10;

void pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
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
};

struct Results {
  std::vector<Row> rows;
  std::vector<Row> sweeps;                               // ns for a whole sweep
  std::vector<std::pair<std::string, double>> scalings;  // of what, by what
};

struct Settings {
  std::vector<std::uint32_t> flows;
  std::string only;  // "IPv4 TCP"; empty: all
  int rounds;
  std::uint32_t packets;
};

// Runs `packets` packets and checks that exactly so many ended as `why`.
double run_checked(Walker& walker, const Subject& subject, std::uint32_t why, std::uint32_t packets,
                   std::uint32_t may_miss = 0) {
  const auto before = subject.reason(why);
  const double ns = walker.run(packets);
  const auto counted = subject.reason(why) - before;
  if (counted > packets || counted + may_miss < packets)
    die(fmt::format("{} packets ran, but {} ended as reason {}", packets, counted, why));
  return ns;
}

Row measure(const std::string& name, Walker& walker, const Subject& subject, std::uint32_t why,
            const Settings& settings) {
  std::vector<double> raw, net;
  for (int round = 0; round < settings.rounds; ++round) {
    walker.measure(walker.drop_fd());
    const double floor = walker.run(settings.packets);
    walker.measure(subject.program().xdp_fd());
    raw.push_back(run_checked(walker, subject, why, settings.packets));
    net.push_back(raw.back() - floor);
  }
  return {name, walker.flows(), spread(raw), spread(net)};
}

// Measures the other floor: a program that only swaps the MACs and sends the frame back.
Row measure_tx(Walker& walker, const Settings& settings) {
  std::vector<double> raw, net;
  for (int round = 0; round < settings.rounds; ++round) {
    walker.measure(walker.drop_fd());
    const double floor = walker.run(settings.packets);
    walker.measure(walker.tx_fd());
    raw.push_back(walker.run(settings.packets));
    net.push_back(raw.back() - floor);
  }
  return {"floor: XDP_TX, MAC swap", walker.flows(), spread(raw), spread(net)};
}

sluice_flow_expire sweep_once(const Subject& subject) {
  sluice_flow_expire result{};
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &result, .ctx_size_in = sizeof result);
  check(bpf_prog_test_run_opts(subject.program().expire_fd(), &options) == 0, "sweep");
  return result;
}

// Measures one sweep over the whole table (flow_expire) with all these flows in it, none of them
// idle, in ns per sweep.
Row sweep(const Subject& subject, std::uint32_t flows, const Settings& settings) {
  std::vector<double> took;
  for (int round = 0; round < settings.rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const auto result = sweep_once(subject);
    const std::chrono::duration<double, std::nano> ns = std::chrono::steady_clock::now() - begin;
    if (result.live != flows) die(fmt::format("a sweep saw {} of {} flows", result.live, flows));
    took.push_back(ns.count());
  }
  return {"sweep", flows, spread(took), spread(took)};
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
  return {"one line of memory, " + area, lines, spread(raw), spread(raw)};
}

// Measures packets from one side of all these flows, each of which must end as `why`; ns per
// packet.
double pass(const Subject& subject, std::vector<bench_tuple> tuples, std::uint8_t tcp_flags,
            std::uint32_t why, const char* nic = "lan0", std::uint32_t may_miss = 0) {
  const auto count = static_cast<std::uint32_t>(tuples.size());
  Walker walker(subject.kind(), std::move(tuples), tcp_flags, nic);
  walker.measure(walker.drop_fd());
  const double floor = walker.run(count);
  walker.measure(subject.program().xdp_fd());
  walker.rewind(1);
  return run_checked(walker, subject, why, count, may_miss) - floor;
}

Row once(const std::string& name, std::uint32_t flows, double ns) {
  return {name, flows, {ns, ns, ns}, {ns, ns, ns}};
}

// Opens every flow with a full handshake, so few at a time that unconfirmed ones don't evict each
// other; returns the cost of creating one, on average and among the last.
std::pair<double, double> establish(Subject& subject, std::uint32_t flows) {
  const std::uint32_t at_a_time = subject.capacity() / SLUICE_HALF_OPEN_SHARE / 2;
  const auto& kind = subject.kind();
  double sum = 0, last = 0;
  for (std::uint32_t first = 0; first < flows; first += at_a_time) {
    const auto count = std::min(at_a_time, flows - first);
    const auto clients = client_tuples(kind, kind.vip(), first, count);
    last = pass(subject, clients, syn, SLUICE_REASON_FLOW_CREATED);
    sum += count * last;
    pass(subject, subject.reverse_tuples(true), syn | ack, SLUICE_REASON_REPLIED, "dmz0");
    // If a window is full, a half-open flow was evicted by another one.
    pass(subject, clients, ack, SLUICE_REASON_FORWARDED, "lan0", count / 1000);
    if (kind.protocol == IPPROTO_TCP) {
      pass(subject, subject.reverse_tuples(true), ack, SLUICE_REASON_REPLIED, "dmz0");
    }
  }
  return {sum / flows, last};
}

// Opens the same few again and again, in a table that fits into the cache: all costs but the
// memory's.
Row creation_in_warm_table(const Kind& kind, const Settings& settings) {
  constexpr std::uint32_t flows = 1024;
  const int rounds = 100 * settings.rounds;  // each takes a millisecond
  Subject subject(kind, 8 * flows);
  Walker walker(kind, client_tuples(kind, kind.vip(), 0, flows), syn);
  std::vector<double> raw, net;
  for (int round = -1; round < rounds; ++round) {
    walker.measure(walker.drop_fd());
    const double floor = walker.run(flows);
    walker.measure(subject.program().xdp_fd());
    walker.rewind(1);
    const double ns = run_checked(walker, subject, SLUICE_REASON_FLOW_CREATED, flows);
    subject.forget_flows();
    if (round < 0) continue;  // the first one warms the cache
    raw.push_back(ns);
    net.push_back(ns - floor);
  }
  return {"flow created, table warm", flows, spread(raw), spread(net)};
}

// Opens the last of so many flows in a table for hardly more.
Row creation_in_full_table(const Kind& kind, std::uint32_t flows) {
  Subject subject(kind, flows + flows / 20);
  return once("flow created, table 95 % full", flows, establish(subject, flows).second);
}

// Measures the same packets while the other CPU sweeps over the table without a pause.
Row measure_beside_sweep(Walker& walker, const Subject& subject, const Settings& settings) {
  std::atomic<bool> over = false;
  std::thread sweeper([&] {
    pin_to(1);
    while (!over) sweep_once(subject);
  });
  auto row =
      measure("to member, beside a sweep", walker, subject, SLUICE_REASON_FORWARDED, settings);
  over = true;
  sweeper.join();
  return row;
}

// The rate of both CPUs together over that of one: 2.0 is linear.
double scaling(Walker& walker, const Subject& subject, std::uint32_t packets) {
  walker.measure(subject.program().xdp_fd());
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

void bench(const Kind& kind, const Settings& settings, Results& results) {
  for (const auto flows : settings.flows) {
    pin_to(0);
    std::vector<Row> own;
    // This comes first, because it needs the same interfaces.
    if (flows == 1024) own.push_back(creation_in_warm_table(kind, settings));
    if (flows == 131072) own.push_back(creation_in_full_table(kind, flows));
    // The table has room to spare, because half-open flows are evicted from a full window.
    Subject subject(kind, std::max(SLUICE_DEFAULT_FLOWS, flows + flows / 3));
    const double opening = establish(subject, flows).first;
    // A few packets would only measure the cold start.
    if (flows >= 16384) own.push_back(once("flow created, table cold", flows, opening));
    Walker to_member(kind, client_tuples(kind, kind.vip(), 0, flows), ack);
    Walker to_client(kind, subject.reverse_tuples(), ack, "dmz0");
    own.push_back(measure("to member", to_member, subject, SLUICE_REASON_FORWARDED, settings));
    own.push_back(measure("to client", to_client, subject, SLUICE_REASON_REPLIED, settings));
    Walker serial(kind, client_tuples(kind, kind.vip(), 0, flows), ack);
    serial.make_serial();
    own.push_back(measure("to member, serial", serial, subject, SLUICE_REASON_FORWARDED, settings));
    if (flows == 131072 && std::thread::hardware_concurrency() >= 2)
      own.push_back(measure_beside_sweep(to_member, subject, settings));
    if (kind.protocol == IPPROTO_TCP) {
      Walker stray(kind, client_tuples(kind, kind.vip(), flows, flows), ack);
      own.push_back(measure("in no flow", stray, subject, SLUICE_REASON_NO_FLOW, settings));
    }
    Walker foreign(kind, client_tuples(kind, kind.nobody(), 0, flows), ack);
    own.push_back(measure("not ours", foreign, subject, SLUICE_REASON_NOT_OURS, settings));
    own.push_back(measure_tx(foreign, settings));
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
    results.sweeps.push_back(sweep(subject, flows, settings));
    results.sweeps.back().name = kind.name();
    if (std::thread::hardware_concurrency() >= 2) {
      results.scalings.emplace_back(fmt::format("{}, {} flows", kind.name(), flows),
                                    scaling(to_member, subject, settings.packets));
    }
  }
}

Results bench(const Settings& settings) {
  Results results;
  for (const int family : {4, 6}) {
    for (const int protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
      if (!settings.only.empty() && Kind{family, protocol}.name() != settings.only) continue;
      bench({family, protocol}, settings, results);
    }
  }
  if (results.rows.empty()) {
    die("there is no '" + settings.only + "': IPv4 or IPv6, then TCP or UDP");
  }
  return results;
}

// The program's size: the instructions that the verifier walked through, and the JIT's bytes.
boost::json::object program_size() {
  auto loaded = Program::load({.flows = 1024});
  if (!loaded) die(loaded.error().text());
  bpf_prog_info info{};
  std::uint32_t length = sizeof info;
  check(bpf_obj_get_info_by_fd(loaded->xdp_fd(), &info, &length) == 0, "ask for the program");
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
  const auto size = program_size();
  fmt::print("program: {} instructions ({} bytes of machine code); the verifier walked {}\n",
             size.at("instructions").as_uint64(), size.at("jited_bytes").as_uint64(),
             size.at("verified_instructions").as_uint64());
  for (const auto& row : results.sweeps) {
    fmt::print("sweep over the table with {} {} flows: {:.1f} ms\n", row.flows, row.name,
               row.net.median / 1e6);
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
    sweeps.push_back(
        boost::json::object{{"table", row.name}, {"flows", row.flows}, {"ns", numbers(row.net)}});
  }
  for (const auto& row : results.rows) {
    list.push_back(boost::json::object{{"packet", row.name},
                                       {"flows", row.flows},
                                       {"raw_ns", numbers(row.raw)},
                                       {"net_ns", numbers(row.net)}});
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
  enter_network();
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
