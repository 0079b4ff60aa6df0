#include "tests/bench/walker.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/in.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <random>
#include <thread>

#include "packet_cost.skel.h"

namespace sluice::bench {
namespace {

constexpr std::uint8_t syn = 0x02, ack = 0x10;
// The number of frames that a driver takes from its receive ring at a time.
constexpr std::uint32_t live_batch = 64;

void set32(std::uint8_t* at, std::uint32_t value) {
  value = htonl(value);
  std::memcpy(at, &value, sizeof value);
}

// Nanoseconds that this thread has had of a CPU.
double cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  constexpr double nanoseconds_per_second = 1e9;
  return static_cast<double>(now.tv_sec) * nanoseconds_per_second +
         static_cast<double>(now.tv_nsec);
}

// Sets the sequence and acknowledgment numbers of a handshake. The two sides' numbers differ.
void set_tcp_numbers(std::uint8_t* tcp, std::uint8_t flags, bool from_member) {
  constexpr std::uint32_t client = 1'000'000, member = 2'000'000;
  const std::uint32_t own = from_member ? member : client, other = from_member ? client : member;
  set32(tcp + 4, flags & syn ? own : own + 1);
  set32(tcp + 8, flags & ack ? other + 1 : 0);
}

// The sum of an IPv4 header, folded; the checksum's own place counts as 0.
__be16 ipv4_checksum(const std::vector<std::uint8_t>& frame, const bench_tuple& tuple) {
  constexpr std::size_t ip_at = 14, addresses_at = 26;
  std::uint32_t sum = 0;
  for (std::size_t at = ip_at; at < addresses_at; at += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, &frame[at], sizeof word);
    sum += word;
  }
  for (const auto address : {tuple.source.ipv4, tuple.destination.ipv4})
    sum += (address & 0xffff) + (address >> 16);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<__be16>(~sum);
}

std::vector<std::uint8_t> frame_template(const Kind& kind, std::uint8_t tcp_flags,
                                         bool from_member) {
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
    set16(l4_at + 6, 0x1234);  // any checksum, which must be updated
  } else {
    frame[l4_at + 12] = 0x50;
    frame[l4_at + 13] = tcp_flags;
    set_tcp_numbers(&frame[l4_at], tcp_flags, from_member);
  }
  return frame;
}

}  // namespace

Walker::Walker(const Kind& kind, std::vector<bench_tuple> tuples, std::uint8_t tcp_flags,
               const char* nic)
    : skeleton_(packet_cost_bpf__open()),
      kind_(kind),
      flows_(static_cast<std::uint32_t>(tuples.size())),
      ifindex_(if_nametoindex(nic)) {
  check(skeleton_ != nullptr, "open the wrapper");
  bpf_map__set_max_entries(skeleton_->maps.tuples, flows_);
  skeleton_->rodata->changes_length = kind.other_version;
  check(packet_cost_bpf__load(skeleton_.get()) == 0, "load the wrapper");
  std::shuffle(tuples.begin(), tuples.end(), std::mt19937(1));
  const auto frame = frame_template(kind, tcp_flags, std::strcmp(nic, "dmz0") == 0);
  for (std::uint32_t i = 0; i < flows_; ++i) {
    if (kind.family == 4) tuples[i].ipv4_checksum = ipv4_checksum(frame, tuples[i]);
    put(bpf_map__fd(skeleton_->maps.tuples), i, tuples[i]);
  }
  std::copy(frame.begin(), frame.end(), skeleton_->bss->template_frame.bytes);
  rewind(1);
}

void Walker::rewind(std::uint32_t cpus) const {
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

double Walker::run(std::uint32_t packets, Mode mode) const {
  skeleton_->bss->serial = mode == Mode::serial;
  std::vector<std::uint8_t> frame(kind_.family == 4 ? BENCH_FRAME4_BYTES : BENCH_FRAME6_BYTES);
  xdp_md context{};
  context.data_end = static_cast<__u32>(frame.size());
  context.ingress_ifindex = ifindex_;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_size_in = context.data_end,
              .ctx_in = &context, .ctx_size_in = sizeof context,
              .repeat = static_cast<int>(packets));
  if (mode == Mode::live) {
    options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    options.batch_size = live_batch;
  }
  const auto* wrapper =
      kind_.family == 4 ? skeleton_->progs.bench_wrapper4 : skeleton_->progs.bench_wrapper6;
  const double began = cpu_time();
  check(bpf_prog_test_run_opts(bpf_program__fd(wrapper), &options) == 0, "run");
  // The kernel's duration has whole nanoseconds, but leaves out its own preparations, which matter
  // in short runs and with live frames.
  constexpr std::uint32_t many = 65536;
  if (mode == Mode::live || packets < many) return options.duration;
  return (cpu_time() - began) / packets;
}

int Walker::drop_fd() const {
  return bpf_program__fd(skeleton_->progs.floor_drop);
}

int Walker::tx_fd() const {
  return bpf_program__fd(skeleton_->progs.floor_tx);
}

void Walker::measure(int program_fd) const {
  put(bpf_map__fd(skeleton_->maps.measured), std::uint32_t{0}, program_fd);
}

void CloseWrapper::operator()(packet_cost_bpf* skeleton) const {
  packet_cost_bpf__destroy(skeleton);
}

Wires::Wires() : skeleton_(packet_cost_bpf__open_and_load()) {
  check(skeleton_ != nullptr, "load the program at the wires' ends");
  const int wires_end = bpf_program__fd(skeleton_->progs.wires_end);
  for (const char* nic : {"lan0", "lan1", "dmz0", "dmz1"}) {
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
    const auto index = static_cast<int>(if_nametoindex(nic));
    links_.emplace_back(bpf_link_create(wires_end, index, BPF_XDP, &options));
    check(static_cast<bool>(links_.back()), std::string("attach to ") + nic);
  }
}

std::uint64_t Wires::arrived() const {
  std::vector<std::uint64_t> cpus(libbpf_num_possible_cpus());
  const std::uint32_t zero = 0;
  check(bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.arrived), &zero, cpus.data()) == 0,
        "read a counter");
  return std::accumulate(cpus.begin(), cpus.end(), std::uint64_t{0});
}

void Wires::expect(std::uint64_t frames) {
  constexpr int tries = 1000;
  expected_ += frames;
  for (int i = 0; i < tries && arrived() < expected_; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (const auto seen = arrived(); seen != expected_)
    die(fmt::format("{} live frames were to arrive, {} did", expected_, seen));
}

}  // namespace sluice::bench
