// packet-cost: what one packet costs the XDP program, in nanoseconds, by number of flows.
//
// The real program is tail-called by a wrapper (packet_cost.bpf.c) under BPF_PROG_TEST_RUN. Every
// figure is a median of rounds in which all candidates take turns; "net" has the wrapper's own cost
// (measured in the same round) taken off. After each run the reason counters must have moved by
// exactly the number of packets, or the bench fails: a number can't come from packets that took
// another path.
//
// Clients come in on one NIC, members are behind another, so that packets are rewritten and
// redirected. The flows are visited in one shuffled order, round after round: the worst case for a
// cache that they don't fit into. What that costs by itself is measured too: reads of as many lines
// of ordinary memory, in a shuffled order, each waiting for the one before.
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
#include <atomic>
#include <boost/json.hpp>
#include <boost/program_options.hpp>
#include <chrono>
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

// What a row is about.
struct Kind {
  int family = 4;
  int protocol = IPPROTO_TCP;

  const char* vip() const { return family == 4 ? "10.0.0.16" : "2001:db8::16"; }
  const char* nobody() const { return family == 4 ? "10.0.0.17" : "2001:db8::17"; }
  std::string name() const {
    return fmt::format("IPv{} {}", family, protocol == IPPROTO_TCP ? "TCP" : "UDP");
  }
};

// The clients' router on one NIC, the members' on the other. Both NICs have one MAC, and so have
// both routers: the frame's template fits either way.
const char* const build_network = R"(set -e
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0
for i in lan dmz; do
  ip link add ${i}0 address 02:00:00:00:00:09 type veth peer name ${i}1
  ip link set ${i}0 up; ip link set ${i}1 up
  sysctl -qw net.ipv4.conf.${i}0.forwarding=1 net.ipv6.conf.${i}0.forwarding=1
done
ip -6 addr add 2001:db8::9/64 dev lan0 nodad
ip -6 addr add 2001:db8:1::9/64 dev dmz0 nodad
ip -6 route add default via 2001:db8::1 dev lan0
ip -6 route add 2001:db8:9::/64 via 2001:db8:1::1 dev dmz0
ip -6 neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev lan0 nud permanent
ip -6 neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:01 dev dmz0 nud permanent
ip addr add 10.0.0.9/24 dev lan0
ip addr add 10.1.0.9/24 dev dmz0
ip route add default via 10.0.0.1
ip route add 10.9.0.0/16 via 10.1.0.1
ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev lan0 nud permanent
ip neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev dmz0 nud permanent
)";

[[noreturn]] void die(const std::string& what) {
  throw std::runtime_error(what);
}
void check(bool ok, const std::string& what) {
  if (!ok) die(what + ": " + std::strerror(errno));
}
sluice_address ip(const char* text) {
  sluice_address address{};
  inet_pton(std::strchr(text, ':') ? AF_INET6 : AF_INET, text, &address);
  return address;
}
// Number n of a network.
sluice_address numbered(int family, std::uint32_t ipv4, const char* ipv6, std::uint32_t n) {
  sluice_address address = family == 4 ? sluice_address{} : ip(ipv6);
  if (family == 4) {
    address.ipv4 = htonl(ipv4 + n);
  } else {
    address.words[3] = htonl(n + 1);
  }
  return address;
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
  Subject(Kind kind, std::uint32_t flows);
  const Program& program() const { return *program_; }
  std::uint32_t capacity() const { return capacity_; }
  std::uint64_t reason(std::uint32_t why) const;
  // The members' side of the flows in the table; only of those that members have not confirmed yet.
  std::vector<bench_tuple> reverse_tuples(bool unconfirmed = false) const;
  const Kind& kind() const { return kind_; }

 private:
  void configure();
  template <typename Bucket>
  std::vector<bench_tuple> reverse_tuples_of(const char* map, bool unconfirmed) const;
  Kind kind_;
  std::uint32_t capacity_;
  std::unique_ptr<Program> program_;
  std::vector<UniqueFd> links_;
};

Subject::Subject(Kind kind, std::uint32_t flows) : kind_(kind), capacity_(flows) {
  // The other version's table is not asked here and small.
  auto loaded = kind.family == 4 ? Program::load({.flows = flows, .flows6 = 1024})
                                 : Program::load({.flows = 1024, .flows6 = flows});
  if (!loaded) die(loaded.error().text());
  program_ = std::make_unique<Program>(std::move(*loaded));
  for (const char* name : {"lan0", "dmz0"}) {
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
    const auto index = if_nametoindex(name);
    links_.emplace_back(
        bpf_link_create(program_->xdp_fd(), static_cast<int>(index), BPF_XDP, &options));
    check(static_cast<bool>(links_.back()), "attach");
    sluice_interface interface {};
    interface.ifindex = index;
    const std::uint8_t mac[] = {0x02, 0, 0, 0, 0, 0x09};
    std::memcpy(interface.mac, mac, sizeof mac);
    put(program_->map_fd("interfaces"), std::uint32_t{index % SLUICE_MAX_INTERFACES}, interface);
  }
  configure();
}

void Subject::configure() {
  sluice_runtime runtime{};
  const auto known = [&](const sluice_address& address) {
    if (kind_.family == 4) {
      sluice_address_filter_add4(&runtime, address.ipv4);
    } else {
      sluice_address_filter_add6(&runtime, &address);
    }
  };
  const auto vip = ip(kind_.vip());
  known(vip);
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
  UniqueFd ring(bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 4, member_count + 1, &options));
  put(ring.get(), std::uint32_t{SLUICE_RING_LENGTH}, member_count);
  for (std::uint32_t i = 0; i < member_count; ++i) {
    sluice_member member{};
    member.address = numbered(kind_.family, 0x0a090000, "2001:db8:9::", i);  // behind the router
    member.port = htons(8080);
    member.flags = SLUICE_MEMBER_USABLE | (kind_.family == 6 ? SLUICE_MEMBER_IPV6 : 0);
    known(member.address);
    put(program_->map_fd("members"), i, member);
    put(ring.get(), i + SLUICE_RING_FIRST, i);
  }
  const std::uint32_t zero = 0;
  put(program_->map_fd("pool_rings"), zero, ring.get());
  put(program_->map_fd("pools"), zero, sluice_pool{});
  sluice_listener listener{};
  listener.snat_source = vip.ipv4;
  listener.connection_limit = listener.new_connection_limit = SLUICE_NO_LIMIT;
  const auto protocol = static_cast<std::uint8_t>(kind_.protocol);
  sluice_vip up{};
  up.flags = SLUICE_VIP_UP;
  if (kind_.family == 4) {
    put(program_->map_fd("listeners4"), sluice_listener4_key{vip.ipv4, htons(80), protocol, 0},
        listener);
    put(program_->map_fd("vips4"), vip.ipv4, up);
  } else {
    put(program_->map_fd("listeners6"), sluice_listener6_key{vip, htons(80), protocol, {}},
        listener);
    put(program_->map_fd("vips6"), vip, up);
  }
  put(program_->map_fd("runtime"), zero, runtime);
}

std::uint64_t Subject::reason(std::uint32_t why) const {
  std::vector<std::uint64_t> cpus(libbpf_num_possible_cpus());
  check(bpf_map_lookup_elem(program_->map_fd("reason_counters"), &why, cpus.data()) == 0,
        "read a counter");
  return std::accumulate(cpus.begin(), cpus.end(), std::uint64_t{0});
}

bench_tuple tuple_of(const sluice_flow4& slot) {
  bench_tuple tuple{};
  tuple.source.ipv4 = slot.source;
  tuple.destination.ipv4 = slot.destination;
  tuple.ports = ports(slot.source_port, slot.destination_port);
  return tuple;
}

bench_tuple tuple_of(const sluice_flow6& slot) {
  return {slot.source, slot.destination, ports(slot.source_port, slot.destination_port), 0};
}

template <typename Bucket>
std::vector<bench_tuple> Subject::reverse_tuples_of(const char* map, bool unconfirmed) const {
  const auto buckets = dataplane::MappedArray<Bucket>::open(*program_, map);
  if (!buckets) die(buckets.error().text());
  std::vector<bench_tuple> tuples;
  for (const auto& bucket : *buckets) {
    for (const auto& slot : bucket.slots) {
      if (!SLUICE_STATE_GET(slot.state, PROTOCOL) || !(slot.state & SLUICE_FLOW_TO_CLIENT))
        continue;
      if (unconfirmed && slot.state & SLUICE_FLOW_ESTABLISHED) continue;
      tuples.push_back(tuple_of(slot));
    }
  }
  return tuples;
}

std::vector<bench_tuple> Subject::reverse_tuples(bool unconfirmed) const {
  return kind_.family == 4 ? reverse_tuples_of<sluice_bucket4>("flows4", unconfirmed)
                           : reverse_tuples_of<sluice_bucket6>("flows6", unconfirmed);
}

// Flows number `first` and on.
std::vector<bench_tuple> client_tuples(const Kind& kind, const char* destination,
                                       std::uint32_t first, std::uint32_t flows) {
  std::vector<bench_tuple> tuples;
  for (std::uint32_t i = first; i < first + flows; ++i) {
    tuples.push_back(
        {numbered(kind.family, 0xcb000000, "2001:db8:c::", i / clients_ports), ip(destination),
         ports(htons(static_cast<std::uint16_t>(1024 + i % clients_ports)), htons(80)), 0});
  }
  return tuples;
}

std::vector<std::uint8_t> frame_template(const Kind& kind, std::uint8_t tcp_flags) {
  const bool v4 = kind.family == 4;
  std::vector<std::uint8_t> frame(v4 ? BENCH_FRAME4_BYTES : BENCH_FRAME6_BYTES);
  const std::uint8_t macs[] = {0x02, 0, 0, 0, 0, 0x09, 0x02, 0, 0, 0, 0, 0x01};
  std::memcpy(frame.data(), macs, sizeof macs);
  const std::size_t ip_at = 14, l4_at = v4 ? 34 : 54;
  const std::size_t l4_bytes = frame.size() - l4_at;
  const auto set16 = [&](std::size_t at, std::size_t value) {
    frame[at] = static_cast<std::uint8_t>(value >> 8);
    frame[at + 1] = static_cast<std::uint8_t>(value);
  };
  set16(12, v4 ? 0x0800 : 0x86dd);
  frame[ip_at] = v4 ? 0x45 : 0x60;
  set16(v4 ? 16 : 18, v4 ? frame.size() - ip_at : l4_bytes);
  frame[v4 ? 22 : 21] = 64;
  frame[v4 ? 23 : 20] = static_cast<std::uint8_t>(kind.protocol);
  if (kind.protocol == IPPROTO_UDP) {
    set16(l4_at + 4, l4_bytes);
    set16(l4_at + 6, 0x1234);  // some checksum, which is to be updated
  } else {
    frame[l4_at + 12] = 0x50;
    frame[l4_at + 13] = tcp_flags;
  }
  return frame;
}

// The wrapper program with one list of tuples in shuffled order.
class Walker {
 public:
  Walker(const Kind& kind, std::vector<bench_tuple> tuples, std::uint8_t tcp_flags,
         const char* nic = "lan0");
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
  Kind kind_;
  std::uint32_t flows_;
  std::uint32_t ifindex_;
};

Walker::Walker(const Kind& kind, std::vector<bench_tuple> tuples, std::uint8_t tcp_flags,
               const char* nic)
    : kind_(kind),
      flows_(static_cast<std::uint32_t>(tuples.size())),
      ifindex_(if_nametoindex(nic)) {
  check(skeleton_ != nullptr, "open the wrapper");
  bpf_map__set_max_entries(skeleton_->maps.tuples, flows_);
  check(packet_cost_bpf__load(skeleton_) == 0, "load the wrapper");
  std::shuffle(tuples.begin(), tuples.end(), std::mt19937(1));
  for (std::uint32_t i = 0; i < flows_; ++i) put(bpf_map__fd(skeleton_->maps.tuples), i, tuples[i]);
  const auto frame = frame_template(kind, tcp_flags);
  std::copy(frame.begin(), frame.end(), skeleton_->bss->template_frame.bytes);
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
  std::vector<std::uint8_t> frame(kind_.family == 4 ? BENCH_FRAME4_BYTES : BENCH_FRAME6_BYTES);
  xdp_md context{};
  context.data_end = static_cast<__u32>(frame.size());
  context.ingress_ifindex = ifindex_;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_size_in = context.data_end,
              .ctx_in = &context, .ctx_size_in = sizeof context,
              .repeat = static_cast<int>(packets));
  const auto* wrapper =
      kind_.family == 4 ? skeleton_->progs.bench_wrapper4 : skeleton_->progs.bench_wrapper6;
  check(bpf_prog_test_run_opts(bpf_program__fd(wrapper), &options) == 0, "run");
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

// The other floor: a program that only swaps the MACs and sends the frame back.
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

// One sweep over the whole table (flow_expire) with all these flows in it, none of them idle: ns
// for the sweep, not per packet.
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

// What reading one line per flow costs without any program: a walk through `lines` cache lines that
// are spread over as much memory as the flow table takes, each naming the next.
Row memory_alone(std::uint32_t lines, const Settings& settings) {
  struct alignas(64) Line {
    Line* next;
  };
  std::vector<Line> memory(std::max<std::size_t>(SLUICE_FLOW_HOMES4(SLUICE_DEFAULT_FLOWS), lines));
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
  if (line == nullptr) die("the walk left its memory");  // and so it is not optimized away
  return {"one line of memory, alone", lines, spread(raw), spread(raw)};
}

// Packets from one side of all these flows, in any order, each of which must end as `why`; ns per
// packet.
double pass(const Subject& subject, std::vector<bench_tuple> tuples, std::uint8_t tcp_flags,
            std::uint32_t why, const char* nic = "lan0") {
  const auto count = static_cast<std::uint32_t>(tuples.size());
  Walker walker(subject.kind(), std::move(tuples), tcp_flags, nic);
  walker.measure(walker.drop_fd());
  const double floor = walker.run(count);
  walker.measure(subject.program().xdp_fd());
  walker.rewind(1);
  return run_checked(walker, subject, why, count) - floor;
}

Row once(const std::string& name, std::uint32_t flows, double ns) {
  return {name, flows, {ns, ns, ns}, {ns, ns, ns}};
}

// Opens every flow with a full handshake, so many at a time that unconfirmed ones don't make way
// for each other; returns what creating one cost, on average and among the last.
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
    pass(subject, clients, ack, SLUICE_REASON_FORWARDED);
    if (kind.protocol == IPPROTO_TCP) {
      pass(subject, subject.reverse_tuples(true), ack, SLUICE_REASON_REPLIED, "dmz0");
    }
  }
  return {sum / flows, last};
}

// The last of so many flows in a table that is made for hardly more.
Row creation_in_full_table(const Kind& kind, std::uint32_t flows) {
  Subject subject(kind, flows + flows / 20);
  return once("flow created, table 95 % full", flows, establish(subject, flows).second);
}

// The same packets while the other CPU sweeps over the table without a pause.
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

void bench(const Kind& kind, const Settings& settings, Results& results) {
  for (const auto flows : settings.flows) {
    pin_to(0);
    std::vector<Row> own;
    // First, because it takes the same interfaces.
    if (flows == 131072) own.push_back(creation_in_full_table(kind, flows));
    Subject subject(kind, std::max(SLUICE_DEFAULT_FLOWS, flows + flows / 8));
    const double opening = establish(subject, flows).first;
    // A few packets would only show how cold everything is at the start.
    if (flows >= 16384) own.push_back(once("flow created", flows, opening));
    Walker to_member(kind, client_tuples(kind, kind.vip(), 0, flows), ack);
    Walker to_client(kind, subject.reverse_tuples(), ack, "dmz0");
    own.push_back(measure("to member", to_member, subject, SLUICE_REASON_FORWARDED, settings));
    own.push_back(measure("to client", to_client, subject, SLUICE_REASON_REPLIED, settings));
    if (flows == 131072 && std::thread::hardware_concurrency() >= 2)
      own.push_back(measure_beside_sweep(to_member, subject, settings));
    Walker foreign(kind, client_tuples(kind, kind.nobody(), 0, flows), ack);
    own.push_back(measure("not ours", foreign, subject, SLUICE_REASON_NOT_OURS, settings));
    own.push_back(measure_tx(foreign, settings));
    own.push_back(memory_alone(flows, settings));
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

// How large the program is: what the verifier walked through, and what the JIT made of it.
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
  fmt::print("{:<38}{:>10}{:>32}{:>32}\n", "packet", "flows", "raw ns min/median/max",
             "net ns min/median/max");
  for (const auto& row : results.rows) {
    fmt::print("{:<38}{:>10}{:>12.0f}{:>10.0f}{:>10.0f}{:>12.0f}{:>10.0f}{:>10.0f}\n", row.name,
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
  check(unshare(CLONE_NEWNET) == 0, "make a network namespace (run as root)");
  if (std::system(build_network) != 0) die("can't build the bench's network");
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
