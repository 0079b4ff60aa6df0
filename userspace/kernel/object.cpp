#include "kernel/object.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "kernel/libbpf_log.hpp"
#include "kernel/machine.hpp"
#include "kernel/map.hpp"
#include "kernel/program.hpp"
#include "maps/capture.h"
#include "maps/flow.h"
#include "maps/listener_bank.h"
#include "maps/runtime.h"
#include "sluice.skel.h"

namespace sluice::kernel {
namespace {

// Finds CONFIG_HZ by the resolution of the coarse clock, which advances once per jiffy.
std::uint32_t jiffies_per_second() {
  constexpr long nanoseconds_per_second = 1'000'000'000;
  timespec resolution{};
  clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
  return static_cast<std::uint32_t>((nanoseconds_per_second + resolution.tv_nsec / 2) /
                                    resolution.tv_nsec);
}

// Finds the n for which 2^n jiffies come nearest to SLUICE_TICK_SECONDS.
std::uint32_t tick_shift(std::uint32_t jiffies_per_second) {
  const double jiffies = double{SLUICE_TICK_SECONDS} * jiffies_per_second;
  return static_cast<std::uint32_t>(std::lround(std::log2(jiffies)));
}

// Only tests have tables so small; a handful of handshakes must fit.
constexpr std::uint32_t fewest_half_open = 16;

std::uint32_t half_open_limit(std::uint32_t capacity) {
  return std::max(capacity / SLUICE_HALF_OPEN_SHARE, fewest_half_open);
}

// The maps that only sluice_capture needs.
std::array<bpf_map*, 3> capture_maps(const sluice_bpf& skeleton) {
  return {skeleton.maps.local_capture, skeleton.maps.local_capture_frame,
          skeleton.maps.local_capture_lost};
}

// The place of the former program in `local_former`.
constexpr std::uint32_t former = 0;

}  // namespace

std::string_view contract_name(const bpf_map* map) {
  constexpr std::string_view global_data = ".data.";
  const std::string_view name = bpf_map__name(map);
  if (name.starts_with(global_data)) return name.substr(global_data.size());
  return bpf_map__is_internal(map) || name.starts_with("local_") ? "" : name;
}

double tick_seconds() {
  const auto hz = jiffies_per_second();
  return static_cast<double>(1U << tick_shift(hz)) / hz;
}

void Object::Close::operator()(sluice_bpf* skeleton) const {
  sluice_bpf__destroy(skeleton);
}

Result<Object> Object::open() {
  if (auto taken = require_machine(machine()); !taken)
    return tl::unexpected(std::move(taken.error()));
  if (auto known = know_possible_cpus(); !known) return tl::unexpected(std::move(known.error()));
  LibbpfLog log;
  sluice_bpf* skeleton = sluice_bpf__open();
  if (skeleton == nullptr) {
    return fail_bpf(errno, "open the embedded BPF object", log.last_line());
  }
  for (auto* map : capture_maps(*skeleton)) bpf_map__set_autocreate(map, false);
  bpf_map__set_autocreate(skeleton->maps.local_former, false);
  // libbpf would let it be mapped into memory, which older builds don't expect of it.
  bpf_map__set_map_flags(skeleton->maps.data_runtime, 0);
  Object object(skeleton);
  object.set_clock(jiffies_per_second());
  return object;
}

void Object::set_clock(std::uint32_t jiffies_per_second) {
  skeleton_->rodata->clock_hz = jiffies_per_second;
  skeleton_->rodata->clock_tick_shift = tick_shift(jiffies_per_second);
}

void Object::set_flow_table(const sluice_flow_table& table) {
  skeleton_->rodata->flow_hash_seed = table.hash_seed;
  skeleton_->rodata->flow_homes4 = table.homes4;
  skeleton_->rodata->flow_homes6 = table.homes6;
  skeleton_->rodata->half_open_limit4 = half_open_limit(table.capacity);
  skeleton_->rodata->half_open_limit6 = half_open_limit(table.capacity6);
  bpf_map__set_max_entries(skeleton_->maps.flows4, SLUICE_FLOW_BUCKETS(table.homes4));
  bpf_map__set_max_entries(skeleton_->maps.flows6, SLUICE_FLOW_BUCKETS(table.homes6));
}

void Object::set_fast_path(bool enabled) {
  skeleton_->rodata->fast_path_enabled = enabled;
}

Result<void> Object::set_move(std::uint32_t phase, const Program& other) {
  const auto table = other.flow_table();
  if (!table) return tl::unexpected(table.error());
  skeleton_->rodata->flow_move_phase = phase;
  skeleton_->rodata->other_homes4 = table->homes4;
  skeleton_->rodata->other_homes6 = table->homes6;
  for (const auto& [map, name] : {std::pair{skeleton_->maps.local_other4, "flows4"},
                                  {skeleton_->maps.local_other6, "flows6"}}) {
    if (const int error = bpf_map__reuse_fd(map, other.map_fd(name)))
      return fail_bpf(error, std::string("reuse map ") + name);
  }
  bpf_program__set_autoload(move_program(), phase == SLUICE_FLOW_MOVE_NOW);
  return {};
}

Result<void> Object::set_crossing(int calls) {
  skeleton_->rodata->flow_is_crossing = true;
  bpf_map__set_autocreate(skeleton_->maps.local_former, true);
  bpf_program__set_autoload(skeleton_->progs.sluice_xdp, false);
  bpf_program__set_autoload(skeleton_->progs.sluice_crossing, true);
  if (calls < 0) return {};
  if (const int error = bpf_map__reuse_fd(skeleton_->maps.local_former, calls))
    return fail_bpf(error, "reuse the map that calls the former program");
  return {};
}

Result<UniqueFd> Object::cross_from(int former_program) const {
  const int calls = bpf_map__fd(skeleton_->maps.local_former);
  if (bpf_map_update_elem(calls, &former, &former_program, BPF_ANY) != 0)
    return fail_bpf(errno, "have the new program call the former one");
  return duplicate(calls);
}

Result<void> Object::reuse_maps(const Program& program) {
  for (const auto& [name, fd] : program.maps()) {
    bpf_map* map = find_map(name);
    if (map == nullptr) continue;  // of another version; layouts were compared before
    if (const int error = bpf_map__reuse_fd(map, fd.get())) {
      return fail_bpf(error, "reuse map " + name);
    }
  }
  return {};
}

Result<void> Object::reuse_configuration(const Program& program) {
  for (const char* name :
       {"vips4", "vips6", "listeners4", "listeners6", "listener_ranges", "allowed_sources", "pools",
        "pool_rings", "members", "interfaces", "runtime", "address_filter", "hash_key",
        "tunnel_sources", "snat_sources", "snat_vips", "listener_banks"}) {
    bpf_map* map = find_map(name);
    if (const int error = bpf_map__reuse_fd(map, program.map_fd(name)))
      return fail_bpf(error, std::string("reuse map ") + name);
  }
  return {};
}

void Object::leave_out_requests() {
  for (auto* program : {sweep_program(), expire_program(), expire_short_program(), flush_program(),
                        rehome_program(), walk_program(), put_program(), replicas_program()})
    bpf_program__set_autoload(program, false);
}

void Object::leave_out_requests_but_flush() {
  leave_out_requests();
  bpf_program__set_autoload(flush_program(), true);
}

void Object::load_only_capture(const sluice_capture_filter& filter) {
  leave_out_requests();
  bpf_program__set_autoload(xdp_program(), false);
  bpf_program__set_autoload(skeleton_->progs.sluice_capture, true);
  for (auto* map : capture_maps(*skeleton_)) bpf_map__set_autocreate(map, true);
  std::memcpy(&skeleton_->rodata->capture_filter, &filter, sizeof filter);
}

void Object::load_only_forget_vips() {
  leave_out_requests();
  bpf_program__set_autoload(xdp_program(), false);
  bpf_program__set_autoload(skeleton_->progs.forget_vips, true);
}

Result<void> Object::load() {
  LibbpfLog log;
  const int error = bpf_object__load(get());
  if (error == 0) return {};
  if (-error == EPERM) return fail_bpf(error, "load the BPF program");
  if (-error == ENOMEM || -error == E2BIG) {
    return fail_bpf(error, "create the BPF maps", "choose a smaller --flows");
  }
  return fail_bpf(error, "load the BPF program", "the kernel's last words: " + log.last_line());
}

bpf_map* Object::find_map(std::string_view name) const {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, get()) {
    if (contract_name(map) == name) return map;
  }
  return nullptr;
}

UniqueFd Object::keep_program(const char* name) const {
  const auto* program = bpf_object__find_program_by_name(get(), name);
  return duplicate(bpf_program__fd(program));
}

UniqueFd Object::keep_map(const char* name) const {
  return duplicate(bpf_object__find_map_fd_by_name(get(), name));
}

bpf_object* Object::get() const {
  return skeleton_->obj;
}
bpf_program* Object::xdp_program() const {
  auto* crossing = skeleton_->progs.sluice_crossing;
  return bpf_program__autoload(crossing) ? crossing : skeleton_->progs.sluice_xdp;
}
bpf_program* Object::sweep_program() const {
  return skeleton_->progs.flow_sweep;
}
bpf_program* Object::expire_program() const {
  return skeleton_->progs.flow_expire;
}
bpf_program* Object::expire_short_program() const {
  return skeleton_->progs.flow_expire_short;
}
bpf_program* Object::flush_program() const {
  return skeleton_->progs.flow_flush;
}
bpf_program* Object::rehome_program() const {
  return skeleton_->progs.flow_rehome;
}
bpf_program* Object::walk_program() const {
  return skeleton_->progs.flow_walk;
}
bpf_program* Object::put_program() const {
  return skeleton_->progs.flow_put;
}
bpf_program* Object::replicas_program() const {
  return skeleton_->progs.flow_replicas;
}
bpf_program* Object::move_program() const {
  return skeleton_->progs.flow_move;
}

}  // namespace sluice::kernel
