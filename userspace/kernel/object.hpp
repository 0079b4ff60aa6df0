// Object: the embedded BPF object between open and load, the only time at which it can be
// configured.
#pragma once

#include <cstdint>
#include <memory>

#include "base/fd.hpp"
#include "base/result.hpp"

struct bpf_object;
struct bpf_program;
struct sluice_bpf;  // the generated skeleton
struct sluice_capture_filter;
struct sluice_flow_table;

namespace sluice::kernel {

class Program;

// How long a tick of the flows' clock is on this kernel.
double tick_seconds();

class Object {
 public:
  // Opened, with every `const volatile` setting filled in for this machine.
  static Result<Object> open();

  // Fits the flow table's maps, and the program's idea of them, to these dimensions.
  void set_flow_table(const sluice_flow_table& table);
  void set_fast_path(bool enabled);
  void set_clock(std::uint32_t jiffies_per_second);
  // While flows are moved (bpf/move.h): what its flow tables are of the two pairs (enum
  // sluice_flow_move_phase), and the other pair, which `other` holds.
  Result<void> set_move(std::uint32_t phase, const Program& other);
  // Makes it use the maps of `program` instead of creating its own.
  Result<void> reuse_maps(const Program& program);
  // Likewise, but only the maps that the controller writes.
  Result<void> reuse_configuration(const Program& program);
  void leave_out_sweeping();  // flow_expire is not loaded
  // sluice_capture is loaded, which isn't otherwise, and nothing else.
  void load_only_capture(const sluice_capture_filter& filter);

  // Once everything is set.
  Result<void> load();
  // Descriptors of what is loaded, which outlive the object.
  UniqueFd keep_program(const char* name) const;
  UniqueFd keep_map(const char* name) const;

  bpf_object* get() const;
  bpf_program* xdp_program() const;
  bpf_program* expire_program() const;
  bpf_program* flush_program() const;
  bpf_program* move_program() const;  // loaded only where set_move() said that flows move now

 private:
  struct Close {
    void operator()(sluice_bpf* skeleton) const;
  };
  explicit Object(sluice_bpf* skeleton) : skeleton_(skeleton) {}

  std::unique_ptr<sluice_bpf, Close> skeleton_;
};

}  // namespace sluice::kernel
