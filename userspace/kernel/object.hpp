// Object: the embedded BPF object between open and load, which is when it can be configured.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/fd.hpp"
#include "base/result.hpp"

struct bpf_map;
struct bpf_object;
struct bpf_program;
struct sluice_bpf;  // the generated skeleton
struct sluice_capture_filter;
struct sluice_flow_table;

namespace sluice::kernel {

class Program;

// The length of a tick of the flows' clock on this kernel.
double tick_seconds();

// The name under which a map of the object is pinned and known elsewhere. Empty if it is no part of
// the contract in maps/: constants, and local_*, which are one program's scratch memory. Global
// data is called after its section: libbpf's ".data.runtime" is our `runtime`.
std::string_view contract_name(const bpf_map* map);

class Object {
 public:
  // Opens the object and fills in every `const volatile` setting for this machine.
  static Result<Object> open();

  // Sets the dimensions of the flow table, in its maps and in the program's constants.
  void set_flow_table(const sluice_flow_table& table);
  void set_fast_path(bool enabled);
  void set_clock(std::uint32_t jiffies_per_second);
  // Prepares it to run while flows are moved (bpf/move.h): `phase` (enum sluice_flow_move_phase)
  // says which of the two pairs of flow tables is its own; `other` holds the other pair.
  Result<void> set_move(std::uint32_t phase, const Program& other);
  // Prepares it to run while flows come from tables of another layout (bpf/crossing.h):
  // xdp_program() is sluice_crossing. `calls`: what cross_from() has returned for another object;
  // -1: nothing.
  Result<void> set_crossing(int calls);
  // After load(): names the program that has those tables. Returns the map that does so, which has
  // to be kept open or pinned: the kernel empties it when nobody in user space has it.
  Result<UniqueFd> cross_from(int former_program) const;
  // Makes it use the maps of `program` instead of creating new ones.
  Result<void> reuse_maps(const Program& program);
  // Does so for the maps that the controller writes only.
  Result<void> reuse_configuration(const Program& program);
  // Leaves out the programs that are run by request (SEC("syscall")): all of them, or all but
  // flow_flush, for maps that nobody sweeps.
  void leave_out_requests();
  void leave_out_requests_but_flush();
  // Makes load() load sluice_capture, which it otherwise leaves out, and nothing else.
  void load_only_capture(const sluice_capture_filter& filter);

  // Makes load() load forget_vips and nothing else.
  void load_only_forget_vips();

  // Loads the object, once everything is set.
  Result<void> load();
  // The descriptor of a loaded program, which outlives the object.
  UniqueFd keep_program(const char* name) const;
  UniqueFd keep_map(const char* name) const;

  bpf_object* get() const;
  // The map with this contract_name(), or null.
  bpf_map* find_map(std::string_view name) const;
  bpf_program* xdp_program() const;
  bpf_program* sweep_program() const;
  bpf_program* expire_program() const;
  bpf_program* expire_short_program() const;
  bpf_program* flush_program() const;
  bpf_program* rehome_program() const;
  bpf_program* walk_program() const;
  bpf_program* put_program() const;
  bpf_program* replicas_program() const;
  bpf_program* move_program() const;  // loaded only where set_move() said that flows move now

 private:
  struct Close {
    void operator()(sluice_bpf* skeleton) const;
  };
  explicit Object(sluice_bpf* skeleton) : skeleton_(skeleton) {}

  std::unique_ptr<sluice_bpf, Close> skeleton_;
};

}  // namespace sluice::kernel
