// Walker: the wrapper program with a list of packets, which it makes from a template and gives to a
// program, round and round (packet_cost.bpf.c).
#pragma once

#include <cstdint>
#include <vector>

#include "tests/bench/subject.hpp"

struct packet_cost_bpf;

namespace sluice::bench {

// The wrapper program with one list of tuples in shuffled order.
class Walker {
 public:
  Walker(const Kind& kind, std::vector<bench_tuple> tuples, std::uint8_t tcp_flags,
         const char* nic = "lan0");
  ~Walker();
  Walker(const Walker&) = delete;
  Walker& operator=(const Walker&) = delete;

  // The floors: a program that does nothing, and one that swaps the MACs and sends the frame back.
  int drop_fd() const;
  int tx_fd() const;
  std::uint32_t flows() const { return flows_; }
  // Each CPU of `cpus` walks its own part of the list from its start.
  void rewind(std::uint32_t cpus);
  void measure(int program_fd);
  // Makes each packet wait for the one before, instead of overlapping with it in the CPU.
  void make_serial();
  // Mean ns per packet over `packets` packets on the calling thread's CPU.
  double run(std::uint32_t packets) const;

 private:
  packet_cost_bpf* skeleton_;
  Kind kind_;
  std::uint32_t flows_;
  std::uint32_t ifindex_;
};

}  // namespace sluice::bench
