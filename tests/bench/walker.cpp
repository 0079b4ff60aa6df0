#include "tests/bench/walker.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "packet_cost.skel.h"

namespace sluice::bench {
namespace {

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
    set16(l4_at + 6, 0x1234);  // any checksum, which must be updated
  } else {
    frame[l4_at + 12] = 0x50;
    frame[l4_at + 13] = tcp_flags;
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

Walker::~Walker() {
  packet_cost_bpf__destroy(skeleton_);
}

int Walker::drop_fd() const {
  return bpf_program__fd(skeleton_->progs.floor_drop);
}

int Walker::tx_fd() const {
  return bpf_program__fd(skeleton_->progs.floor_tx);
}

void Walker::make_serial() {
  skeleton_->bss->serial = 1;
}

void Walker::measure(int program_fd) {
  put(bpf_map__fd(skeleton_->maps.measured), std::uint32_t{0}, program_fd);
}

}  // namespace sluice::bench
