// Measures what records of connections cost: the data plane's packets with records off, on, and
// told to peers, and the thread that writes them, by where they go. See tests/bench/README.md.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include "maps/reasons.h"
#include "maps/record.h"
#include "maps/replica.h"
#include "records/recorder.hpp"
#include "tests/bench/subject.hpp"
#include "tests/bench/walker.hpp"

namespace sluice::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t syn = 0x02, reset = 0x04, ack = 0x10;
// Two records of each fit into the ring, also of IPv6.
constexpr std::uint32_t connections = 16384;
// Of the tables: half-open ones may have a quarter.
constexpr std::uint32_t room = 8 * connections;

// Reads the ring of a program under test. Ids are made up, one for each index.
class RingSource : public records::Source {
 public:
  explicit RingSource(int map, std::size_t& taken) : taken_(taken) {
    ring_.reset(ring_buffer__new(map, hand_over, this, nullptr));
    check(ring_ != nullptr, "open the ring buffer");
  }
  Result<void> consume(const Take& take) override {
    take_ = &take;
    taken_ += static_cast<std::size_t>(std::max(0, ring_buffer__consume(ring_.get())));
    return {};
  }
  Uuid listener_id(const records::Connection&) override { return id_of(0); }
  Uuid member_id(const records::Connection& c) override { return id_of(c.member_index + 1); }
  Result<std::uint64_t> losses() override { return 0; }

  static Uuid id_of(std::uint32_t number) {
    Uuid id{};
    std::memcpy(id.data, &number, sizeof number);
    id.data[15] = 1;
    return id;
  }

 private:
  struct Close {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };
  static int hand_over(void* self, void* data, std::size_t size) {
    (*static_cast<RingSource*>(self)->take_)({static_cast<const std::byte*>(data), size});
    return 0;
  }
  std::size_t& taken_;
  const Take* take_ = nullptr;
  std::unique_ptr<ring_buffer, Close> ring_;
};

// The model behind the made-up ids, with names as people give them.
model::Model model_of_bench() {
  model::Model model;
  model::LoadBalancer load_balancer;
  load_balancer.id = new_uuid();
  load_balancer.name = "web-frontend";
  model.load_balancers.put(load_balancer);
  model::Listener listener;
  listener.id = RingSource::id_of(0);
  listener.load_balancer_id = load_balancer.id;
  listener.name = "web-frontend-http";
  model.listeners.put(listener);
  model::Pool pool;
  pool.id = new_uuid();
  pool.name = "web-servers";
  model.pools.put(pool);
  for (std::uint32_t i = 0; i < 256; ++i) {
    model::Member member;
    member.id = RingSource::id_of(i + 1);
    member.pool_id = pool.id;
    member.name = fmt::format("web-server-{}", i);
    model.members.put(member);
  }
  return model;
}

double thread_nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// ns per packet, net of the bench's own.
double pass(const Subject& subject, std::vector<bench_tuple> tuples, std::uint8_t flags,
            std::uint32_t why, const char* nic = "lan0") {
  const auto count = static_cast<std::uint32_t>(tuples.size());
  if (count == 0) return 0;
  const Walker walker(subject.kind(), std::move(tuples), flags, nic);
  walker.measure(walker.drop_fd());
  const double floor = walker.run(count);
  walker.rewind(1);
  walker.measure(subject.loaded().xdp.get());
  const auto before = subject.reason(why);
  const double ns = walker.run(count);
  const auto counted = subject.reason(why) - before;
  if (counted + count / 1000 < count)
    die(fmt::format("{} packets ran, but {} ended as reason {}", count, counted, why));
  return ns - floor;
}

// A list of packets is walked by one CPU.
void stay_on_one_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  check(sched_setaffinity(0, sizeof set, &set) == 0, "stay on a CPU");
}

// The packets of a connection's life.
struct Phases {
  double opens = 0, answers = 0, confirms = 0, to_member = 0, to_client = 0, ends = 0;
};

// Opens and ends the connections. A client's number proves nothing here, so it is the member's data
// that confirms them (UDP: its answer).
Phases live_and_die(Subject& subject) {
  const auto& kind = subject.kind();
  const bool is_tcp = kind.protocol == IPPROTO_TCP;
  const auto clients = client_tuples(kind, kind.vip(), 0, connections);
  Phases ns;
  ns.opens = pass(subject, clients, syn, SLUICE_REASON_FLOW_CREATED);
  ns.answers =
      pass(subject, subject.reverse_tuples(true), syn | ack, SLUICE_REASON_REPLIED, "dmz0");
  const auto members = subject.reverse_tuples();
  if (is_tcp) {
    ns.confirms = pass(subject, clients, ack, SLUICE_REASON_FORWARDED) +
                  pass(subject, subject.reverse_tuples(true), ack, SLUICE_REASON_REPLIED, "dmz0");
  }
  ns.to_member = pass(subject, clients, ack, SLUICE_REASON_FORWARDED);
  ns.to_client = pass(subject, members, ack, SLUICE_REASON_REPLIED, "dmz0");
  if (is_tcp) {
    ns.ends = pass(subject, clients, reset | ack, SLUICE_REASON_FORWARDED);
  }
  subject.forget_flows();
  return ns;
}

void record_one_of(const Subject& subject, std::uint32_t one_of) {
  const int map = subject.loaded().map_fd("listener_records");
  if (map < 0) return;
  for (std::uint32_t i = 0; i < 16; ++i) put(map, i, one_of);
}

// A recorder of one kind, which reads nothing until its turn.
struct Consumer {
  std::string name;
  std::unique_ptr<records::Recorder> recorder;
  std::vector<double> ns_per_record = {};
};

std::unique_ptr<records::Recorder> recorder_to(const records::Recorder::Settings& settings) {
  auto recorder = records::Recorder::open(settings, [](const std::string& what) { die(what); });
  if (!recorder) die(recorder.error().text());
  (*recorder)->name(model_of_bench());
  return std::move(*recorder);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return fmt::format("{:>8.0f}{:>8.0f}{:>8.0f}", values.front(), values[values.size() / 2],
                     values.back());
}

// A program, and what records it makes.
struct Variant {
  std::string name;
  Subject* subject;
  std::uint32_t one_of = 0;  // for who keeps records; 0: none
  bool tells = false;        // the other nodes
  std::map<std::string, std::vector<double>> ns = {};
};

void configure(const Variant& variant) {
  variant.subject->fit_area(connections);
  record_one_of(*variant.subject, variant.one_of);
  if (variant.tells)
    put(variant.subject->loaded().map_fd("fleet"), std::uint32_t{SLUICE_FLEET_TELLS},
        std::uint64_t{1});
}

// Makes room in the ring for the next round's changes. Dies if one was not told.
void empty_changes(const Subject& subject) {
  const auto ignore = [](void*, void*, std::size_t) { return 0; };
  const std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)> ring(
      ring_buffer__new(subject.loaded().map_fd("flow_changes"), ignore, nullptr, nullptr),
      ring_buffer__free);
  check(ring != nullptr, "open the ring of changes");
  const int told = ring_buffer__consume(ring.get());
  if (told < static_cast<int>(connections))
    die(fmt::format("of {} connections only {} changes were told", connections, told));
}

void add(Variant& variant, const Phases& ns, bool is_tcp) {
  variant.ns["SYN or first packet"].push_back(ns.opens);
  variant.ns["SYN-ACK or first answer"].push_back(ns.answers);
  variant.ns["established, to the member"].push_back(ns.to_member);
  variant.ns["established, to the client"].push_back(ns.to_client);
  if (!is_tcp) return;
  variant.ns["ACK and member's data"].push_back(ns.confirms);
  variant.ns["client's RST"].push_back(ns.ends);
}

void bench(const Kind& kind, int rounds, const std::optional<OtherObject>& other,
           const fs::path& directory) {
  const bool is_tcp = kind.protocol == IPPROTO_TCP;
  // Each has tables of its own: of two that shared them the second one would find them warm.
  Subject off(kind, room), on(kind, room), told(kind, room);
  std::optional<Subject> before;
  std::vector<Variant> variants{{.name = "off", .subject = &off},
                                {.name = "on", .subject = &on, .one_of = 1},
                                {.name = "told", .subject = &told, .tells = true}};
  if (other) {
    before.emplace(off, *other);
    variants.push_back({.name = "before", .subject = &*before});
  }
  for (const auto& variant : variants) configure(variant);

  const records::RotatingFile::Settings file{
      .path = directory / "records.json", .max_bytes = 64U << 20, .keep = 1};
  const TcpAddress nobody{boost::asio::ip::make_address("127.0.0.1"), 4739};
  std::vector<Consumer> consumers;
  consumers.push_back({"file", recorder_to({.file = file})});
  consumers.push_back({"IPFIX", recorder_to({.collectors = {nobody}})});
  consumers.push_back({"both", recorder_to({.file = file, .collectors = {nobody}})});

  std::size_t taken = 0;
  for (int round = -1; round < rounds; ++round) {
    std::rotate(variants.begin(), variants.begin() + 1, variants.end());
    for (auto& variant : variants) {
      const auto ns = live_and_die(*variant.subject);
      if (round >= 0) add(variant, ns, is_tcp);  // the first one warms the cache
      if (variant.tells) empty_changes(*variant.subject);
      if (variant.one_of == 0) continue;
      auto& consumer = consumers[static_cast<std::size_t>(round + 1) % consumers.size()];
      consumer.recorder->read(std::make_unique<RingSource>(on.loaded().map_fd("records"), taken));
      taken = 0;
      const double began = thread_nanoseconds();
      consumer.recorder->round();
      const double took = thread_nanoseconds() - began;
      if (taken < connections) die(fmt::format("only {} records came", taken));
      consumer.ns_per_record.push_back(took / static_cast<double>(taken));
    }
  }

  std::sort(variants.begin(), variants.end(),
            [](const Variant& a, const Variant& b) { return a.name < b.name; });
  fmt::print("{}, {} connections, {} rounds: net ns per packet, min/median/max\n", kind.name(),
             connections, rounds);
  for (const auto& [packet, unused] : variants.front().ns)
    for (const auto& variant : variants)
      fmt::print("  {:<28}{:<8}{}\n", packet, variant.name, spread(variant.ns.at(packet)));
  for (const auto& consumer : consumers) {
    if (consumer.ns_per_record.empty()) continue;
    fmt::print("  record to {:<8} ns of CPU {} : {:.0f} connections per second of one core\n",
               consumer.name, spread(consumer.ns_per_record),
               1e9 / (2 * median(consumer.ns_per_record)));
  }
}

int run(int argc, char** argv) {
  namespace po = boost::program_options;
  int rounds = 0;
  OtherObject other{.file = {}, .program = "sluice_xdp"};
  std::string only, directory;
  po::options_description options("records_cost: what records of connections cost");
  options.add_options()("help,h", "this text")                                                  //
      ("only", po::value(&only), "one kind of packets: 'IPv4 TCP', 'IPv6 UDP' ...")             //
      ("object", po::value(&other.file), "another version's sluice.bpf.o, measured beside")     //
      ("directory", po::value(&directory)->default_value("/tmp"), "where the file is written")  //
      ("rounds", po::value(&rounds)->default_value(15), "rounds per figure");
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  if (values.count("help")) {
    std::cout << options;
    return 0;
  }
  enter_network();
  stay_on_one_cpu();
  const Wires wires;
  std::string name = directory + "/sluice-records-XXXXXX";
  if (!mkdtemp(name.data())) die("make a directory in " + directory);
  for (const int family : {4, 6}) {
    for (const int protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
      const Kind kind{family, protocol};
      if (!only.empty() && kind.name() != only) continue;
      bench(kind, rounds, other.file.empty() ? std::nullopt : std::optional(other), name);
    }
  }
  fs::remove_all(name);
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  try {
    return sluice::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "records_cost: " << error.what() << "\n";
    return 1;
  }
}
