// Walker: the wrapper program with a list of packets, which it makes from a template and gives to a
// program, round and round (packet_cost.bpf.c). Wires: the far ends of the NICs' wires.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/bench/subject.hpp"

struct packet_cost_bpf;

namespace sluice::bench {

struct CloseWrapper {
  void operator()(packet_cost_bpf* skeleton) const;
};
using Wrapper = std::unique_ptr<packet_cost_bpf, CloseWrapper>;

// Mode: the way in which successive packets come to the program.
enum class Mode {
  // One buffer, and nothing between two packets: the CPU overlaps them as far as it can.
  overlapping,
  // The same, but each packet waits for the one before.
  serial,
  // Batches of frames that leave through a veth, as from a driver's receive ring.
  live,
};

// The wrapper program with one list of tuples in shuffled order.
class Walker {
 public:
  Walker(const Kind& kind, std::vector<bench_tuple> tuples, std::uint8_t tcp_flags,
         const char* nic = "lan0");

  // The floors: a program that does nothing, and one that swaps the MACs and sends the frame back.
  int drop_fd() const;
  int tx_fd() const;
  // The program whose cost is taken off in this mode. Live frames have to leave, so it sends them
  // back.
  int floor_fd(Mode mode) const { return mode == Mode::live ? tx_fd() : drop_fd(); }
  std::uint32_t flows() const { return flows_; }
  // Each CPU of `cpus` walks its own part of the list from its start.
  void rewind(std::uint32_t cpus) const;
  void measure(int program_fd) const;
  // Mean ns per packet over `packets` packets on the calling thread's CPU.
  double run(std::uint32_t packets, Mode mode = Mode::overlapping) const;

 private:
  Wrapper skeleton_;
  Kind kind_;
  std::uint32_t flows_;
  std::uint32_t ifindex_;
};

// The far ends of both NICs' wires: a program there counts the frames and drops them. It also makes
// the ends receive at all, and the near ends known to BPF_PROG_TEST_RUN.
class Wires {
 public:
  Wires();
  // Waits until so many frames have arrived since the last time; dies after a second.
  void expect(std::uint64_t frames);

 private:
  std::uint64_t arrived() const;
  Wrapper skeleton_;
  std::vector<UniqueFd> links_;
  std::uint64_t expected_ = 0;
};

}  // namespace sluice::bench
