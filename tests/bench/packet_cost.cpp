// packet-cost: what one packet costs the XDP program, in nanoseconds, by number of flows.
//
// The real program is tail-called by a wrapper (packet_cost.bpf.c) under BPF_PROG_TEST_RUN. Every
// figure is a median of rounds in which all candidates take turns; "net" has the wrapper's own cost
// (measured in the same round) taken off. After each run the reason counters must have moved by
// exactly the number of packets, or the bench fails: a number can't come from packets that took
// another path.
//
// Usage: packet_cost [--flows N...] [--rounds R] [--packets P] [--json FILE]
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/program_options.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

#include "dataplane/map.hpp"
#include "dataplane/program.hpp"
#include "maps/counters.h"
#include "maps/flow.h"
#include "maps/interface.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/pool.h"
#include "maps/runtime.h"
#include "maps/vip.h"
#include "tests/bench/packet_cost.h"
// The skeleton needs the struct above.
#include "packet_cost.skel.h"

namespace sluice::bench {
namespace {

using dataplane::Program;
using dataplane::UniqueFd;

constexpr std::uint8_t syn = 0x02, ack = 0x10;
constexpr std::uint32_t member_count = 256;  // a member has 64,512 source ports per VIP
constexpr std::uint32_t clients_ports = 16384;
constexpr const char* vip = "10.0.0.16";

// One NIC with the router of clients and members on it.
const char* const build_network = R"(set -e
ip link add lan0 address 02:00:00:00:00:09 type veth peer name lan1
sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip link set lan0 up; ip link set lan1 up
sysctl -qw net.ipv4.conf.lan0.forwarding=1
ip addr add 10.0.0.9/24 dev lan0
ip route add default via 10.0.0.1
ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev lan0 nud permanent
)";

[[noreturn]] void die(const std::string& what) {
  throw std::runtime_error(what);
}
void check(bool ok, const std::string& what) {
  if (!ok) die(what + ": " + std::strerror(errno));
}
__be32 ip(const char* text) {
  in_addr address{};
  inet_pton(AF_INET, text, &address);
  return address.s_addr;
}
// As they lie in a packet.
__be32 ports(__be16 source, __be16 destination) {
  return static_cast<__be32>(destination) << 16 | source;
}
template <typename Key, typename Value>
void put(int map, const Key& key, const Value& value) {
  check(bpf_map_update_elem(map, &key, &value, BPF_ANY) == 0, "fill a map");
}

// The program under test with `flows` connections' room, configured: one VIP, one listener, 256
// members.
class Subject {
 public:
  explicit Subject(std::uint32_t flows);
  const Program& program() const { return *program_; }
  std::uint64_t reason(std::uint32_t why) const;
  std::vector<bench_tuple> reverse_tuples() const;

 private:
  void configure();
  std::unique_ptr<Program> program_;
  UniqueFd link_;
};

Subject::Subject(std::uint32_t flows) {
  auto loaded = Program::load({.flows = flows});
  if (!loaded) die(loaded.error().text());
  program_ = std::make_unique<Program>(std::move(*loaded));
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  const int lan0 = static_cast<int>(if_nametoindex("lan0"));
  link_.reset(bpf_link_create(program_->xdp_fd(), lan0, BPF_XDP, &options));
  check(static_cast<bool>(link_), "attach to lan0");
  configure();
}

void Subject::configure() {
  sluice_interface interface {};
  interface.ifindex = if_nametoindex("lan0");
  const std::uint8_t mac[] = {0x02, 0, 0, 0, 0, 0x09};
  std::memcpy(interface.mac, mac, sizeof mac);
  put(program_->map_fd("interfaces"), std::uint32_t{interface.ifindex % SLUICE_MAX_INTERFACES},
      interface);

  sluice_runtime runtime{};
  sluice_address_filter_add4(&runtime, ip(vip));
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
  UniqueFd ring(bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 4, member_count + 1, &options));
  put(ring.get(), std::uint32_t{SLUICE_RING_LENGTH}, member_count);
  for (std::uint32_t i = 0; i < member_count; ++i) {
    sluice_member member{};
    member.address.ipv4 = htonl(0x0a090000 + i);  // 10.9.0.0/24, behind the router
    member.port = htons(8080);
    member.flags = SLUICE_MEMBER_USABLE;
    sluice_address_filter_add4(&runtime, member.address.ipv4);
    put(program_->map_fd("members"), i, member);
    put(ring.get(), i + SLUICE_RING_FIRST, i);
  }
  const std::uint32_t zero = 0;
  put(program_->map_fd("pool_rings"), zero, ring.get());
  put(program_->map_fd("pools"), zero, sluice_pool{});
  sluice_listener4 listener{};
  listener.snat_source = ip(vip);
  put(program_->map_fd("listeners4"), sluice_listener4_key{ip(vip), htons(80), IPPROTO_TCP, 0},
      listener);
  sluice_vip up{};
  up.flags = SLUICE_VIP_UP;
  put(program_->map_fd("vips4"), ip(vip), up);
  put(program_->map_fd("runtime"), zero, runtime);
}

std::uint64_t Subject::reason(std::uint32_t why) const {
  std::vector<std::uint64_t> cpus(libbpf_num_possible_cpus());
  check(bpf_map_lookup_elem(program_->map_fd("reason_counters"), &why, cpus.data()) == 0,
        "read a counter");
  return std::accumulate(cpus.begin(), cpus.end(), std::uint64_t{0});
}

// The members' side of every flow in the table.
std::vector<bench_tuple> Subject::reverse_tuples() const {
  const auto buckets = dataplane::MappedArray<sluice_bucket4>::open(*program_, "flows4");
  if (!buckets) die(buckets.error().text());
  std::vector<bench_tuple> tuples;
  for (const auto& bucket : *buckets) {
    for (const auto& slot : bucket.slots) {
      if (!SLUICE_STATE_GET(slot.state, PROTOCOL) || !(slot.state & SLUICE_FLOW_TO_CLIENT))
        continue;
      tuples.push_back(
          {slot.source, slot.destination, ports(slot.source_port, slot.destination_port)});
    }
  }
  return tuples;
}

std::vector<bench_tuple> client_tuples(std::uint32_t flows, const char* destination = vip) {
  std::vector<bench_tuple> tuples;
  for (std::uint32_t i = 0; i < flows; ++i) {
    tuples.push_back(
        {htonl(0xcb000000 + i / clients_ports), ip(destination),
         ports(htons(static_cast<std::uint16_t>(1024 + i % clients_ports)), htons(80))});
  }
  return tuples;
}

// The wrapper program with one list of tuples in shuffled order.
class Walker {
 public:
  Walker(std::vector<bench_tuple> tuples, std::uint8_t tcp_flags);
  ~Walker() { packet_cost_bpf__destroy(skeleton_); }
  Walker(const Walker&) = delete;
  Walker& operator=(const Walker&) = delete;

  int drop_fd() const { return bpf_program__fd(skeleton_->progs.floor_drop); }
  int tx_fd() const { return bpf_program__fd(skeleton_->progs.floor_tx); }
  std::uint32_t flows() const { return flows_; }
  // Each CPU of `cpus` walks its own part of the list from its start.
  void rewind(std::uint32_t cpus);
  void measure(int program_fd) {
    put(bpf_map__fd(skeleton_->maps.measured), std::uint32_t{0}, program_fd);
  }
  // Mean ns per packet over `packets` packets on the calling thread's CPU.
  double run(std::uint32_t packets) const;

 private:
  packet_cost_bpf* skeleton_ = packet_cost_bpf__open();
  std::uint32_t flows_;
};

Walker::Walker(std::vector<bench_tuple> tuples, std::uint8_t tcp_flags)
    : flows_(static_cast<std::uint32_t>(tuples.size())) {
  check(skeleton_ != nullptr, "open the wrapper");
  bpf_map__set_max_entries(skeleton_->maps.tuples, flows_);
  check(packet_cost_bpf__load(skeleton_) == 0, "load the wrapper");
  std::shuffle(tuples.begin(), tuples.end(), std::mt19937(1));
  for (std::uint32_t i = 0; i < flows_; ++i) put(bpf_map__fd(skeleton_->maps.tuples), i, tuples[i]);

  bench_template& frame = skeleton_->bss->template_frame;
  const std::uint8_t macs[] = {0x02, 0, 0, 0, 0, 0x09, 0x02, 0, 0, 0, 0, 0x01};
  std::memcpy(&frame.eth, macs, sizeof macs);
  frame.eth.h_proto = htons(ETH_P_IP);
  frame.ip.version = 4;
  frame.ip.ihl = 5;
  frame.ip.tot_len = htons(sizeof frame - sizeof frame.eth);
  frame.ip.ttl = 64;
  frame.ip.protocol = IPPROTO_TCP;
  frame.tcp.doff = 5;
  reinterpret_cast<std::uint8_t*>(&frame.tcp)[13] = tcp_flags;
  rewind(1);
}

void Walker::rewind(std::uint32_t cpus) {
  std::vector<bench_walk> walks(libbpf_num_possible_cpus());
  for (std::uint32_t cpu = 0; cpu < walks.size(); ++cpu) {
    const std::uint32_t part = cpu % cpus, begin = flows_ / cpus * part;
    const std::uint32_t end = cpus == 1 ? flows_ : std::max(begin + 1, flows_ / cpus * (part + 1));
    walks[cpu] = {begin, std::min(end, flows_), begin, 0};
    if (begin >= flows_) walks[cpu] = {0, flows_, 0, 0};
  }
  const std::uint32_t zero = 0;
  check(bpf_map_update_elem(bpf_map__fd(skeleton_->maps.walks), &zero, walks.data(), BPF_ANY) == 0,
        "rewind");
}

double Walker::run(std::uint32_t packets) const {
  bench_template frame{};
  xdp_md context{};
  context.data_end = sizeof frame;
  context.ingress_ifindex = if_nametoindex("lan0");
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = &frame, .data_size_in = sizeof frame,
              .ctx_in = &context, .ctx_size_in = sizeof context,
              .repeat = static_cast<int>(packets));
  check(bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.bench_wrapper), &options) == 0,
        "run");
  return options.duration;
}

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

struct Settings {
  std::vector<std::uint32_t> flows;
  int rounds;
  std::uint32_t packets;
};

// Runs `packets` packets and demands that exactly so many ended as `why`.
double run_checked(Walker& walker, const Subject& subject, std::uint32_t why,
                   std::uint32_t packets) {
  const auto before = subject.reason(why);
  const double ns = walker.run(packets);
  const auto counted = subject.reason(why) - before;
  if (counted != packets)
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

// Opens every flow with a full handshake; returns what creating them cost.
Row establish(Subject& subject, std::uint32_t flows) {
  Walker client_syn(client_tuples(flows), syn);
  client_syn.measure(client_syn.drop_fd());
  const double floor = client_syn.run(flows);
  client_syn.measure(subject.program().xdp_fd());
  client_syn.rewind(1);
  const double raw = run_checked(client_syn, subject, SLUICE_REASON_FLOW_CREATED, flows);
  Walker member_syn_ack(subject.reverse_tuples(), syn | ack);
  member_syn_ack.measure(subject.program().xdp_fd());
  run_checked(member_syn_ack, subject, SLUICE_REASON_REPLIED, flows);
  Walker client_ack(client_tuples(flows), ack);
  client_ack.measure(subject.program().xdp_fd());
  run_checked(client_ack, subject, SLUICE_REASON_FORWARDED, flows);
  return {"SYN, flow created", flows, {raw, raw, raw}, {raw - floor, raw - floor, raw - floor}};
}

// Both CPUs at once over one CPU alone: 2.0 is linear.
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

std::vector<Row> bench(const Settings& settings,
                       std::vector<std::pair<std::uint32_t, double>>& scalings) {
  std::vector<Row> rows;
  for (const auto flows : settings.flows) {
    Subject subject(std::max(SLUICE_DEFAULT_FLOWS, flows + flows / 8));
    pin_to(0);
    rows.push_back(establish(subject, flows));
    Walker to_member(client_tuples(flows), ack);
    Walker to_client(subject.reverse_tuples(), ack);
    rows.push_back(
        measure("established, to member", to_member, subject, SLUICE_REASON_FORWARDED, settings));
    rows.push_back(
        measure("established, to client", to_client, subject, SLUICE_REASON_REPLIED, settings));
    Walker unknown(client_tuples(flows, "10.0.0.17"), ack);
    rows.push_back(measure("not ours", unknown, subject, SLUICE_REASON_NOT_OURS, settings));
    if (std::thread::hardware_concurrency() >= 2) {
      scalings.emplace_back(flows, scaling(to_member, subject, settings.packets));
    }
  }
  return rows;
}

void print(const std::vector<Row>& rows,
           const std::vector<std::pair<std::uint32_t, double>>& scalings) {
  fmt::print("{:<26}{:>10}{:>28}{:>28}\n", "packet", "flows", "raw ns min/median/max",
             "net ns min/median/max");
  for (const auto& row : rows) {
    fmt::print("{:<26}{:>10}{:>12.0f}{:>8.0f}{:>8.0f}{:>12.0f}{:>8.0f}{:>8.0f}\n", row.name,
               row.flows, row.raw.min, row.raw.median, row.raw.max, row.net.min, row.net.median,
               row.net.max);
  }
  for (const auto& [flows, factor] : scalings) {
    fmt::print("two CPUs over one, {} flows: {:.2f}\n", flows, factor);
  }
}

void write_json(const std::string& path, const std::vector<Row>& rows) {
  boost::json::array list;
  const auto numbers = [](const Spread& s) {
    return boost::json::object{{"min", s.min}, {"median", s.median}, {"max", s.max}};
  };
  for (const auto& row : rows) {
    list.push_back(boost::json::object{{"packet", row.name},
                                       {"flows", row.flows},
                                       {"raw_ns", numbers(row.raw)},
                                       {"net_ns", numbers(row.net)}});
  }
  std::ofstream(path) << boost::json::object{{"packet_cost", list}} << "\n";
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
           ->default_value({1, 1024, 16384, 131072, 1048576}, "1 1024 16384 131072 1048576"),
       "numbers of connections in the table")                                                 //
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
  check(unshare(CLONE_NEWNET) == 0, "make a network namespace (run as root)");
  if (std::system(build_network) != 0) die("can't build the bench's network");
  std::vector<std::pair<std::uint32_t, double>> scalings;
  const auto rows = bench(settings, scalings);
  print(rows, scalings);
  if (!json.empty()) write_json(json, rows);
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
