#include "kernel/program.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <random>

#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/map.hpp"
#include "kernel/object.hpp"
#include "kernel/pins.hpp"
#include "kernel/versions.hpp"
#include "maps/flow.h"
#include "maps/flow_image.h"

namespace sluice::kernel {
namespace {

// The operator sets the size of these maps.
bool is_flow_map(std::string_view name) {
  return name == "flows4" || name == "flows6";
}

// Says whether the map is part of the contract in maps/, which is pinned and used again by the next
// version.
bool is_contract(const bpf_map* map) {
  return !contract_name(map).empty();
}

MapLayout layout_of(const bpf_map* map) {
  MapLayout layout{std::string(contract_name(map)), bpf_map__type(map),
                   bpf_map__key_size(map),          bpf_map__value_size(map),
                   bpf_map__max_entries(map),       bpf_map__map_flags(map)};
  if (is_flow_map(layout.name)) layout.max_entries = 0;
  return layout;
}

bool is_of_the_tables(std::string_view name) {
  return is_flow_map(name) || name == "flow_table" || name == "flow_areas";
}

// Says whether the map depends on the layout of a flow's slot.
bool has_slots(std::string_view name) {
  return is_flow_map(name) || name == "flow_areas";
}

std::uint64_t random_seed() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

sluice_flow_table dimensions(const LoadOptions& options, std::uint64_t hash_seed = random_seed()) {
  const auto share = std::max(options.flows / SLUICE_IPV6_SHARE, 1U);
  sluice_flow_table table{};
  table.hash_seed = hash_seed;
  table.capacity = options.flows;
  table.homes4 = SLUICE_FLOW_HOMES4(table.capacity);
  table.capacity6 = options.flows6 != 0 ? options.flows6 : share;
  table.homes6 = SLUICE_FLOW_HOMES6(table.capacity6);
  return table;
}

// Says whether older versions lack the map. It may begin empty while their programs run, which know
// nothing of it.
bool came_later(std::string_view name) {
  const auto* versions = versions_of(name);
  return versions != nullptr && versions->may_be_missing();
}

Result<UniqueFd> create_map(const MapLayout& layout) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = layout.flags);
  UniqueFd fd(bpf_map_create(static_cast<bpf_map_type>(layout.type), layout.name.c_str(),
                             layout.key_size, layout.value_size, layout.max_entries, &options));
  if (!fd) return fail_bpf(errno, "create map " + layout.name);
  return fd;
}

// Creates a map of the same kind and capacity with the same entries.
Result<UniqueFd> copy_map(const RawMap& map) {
  const auto info = map_info(map.fd());
  if (!info) return tl::unexpected(info.error());
  auto layout = info->layout;
  layout.name = map.name();
  auto fd = create_map(layout);
  if (!fd) return fd;
  const auto entries = map.read_all(layout.key_size, layout.value_size);
  if (!entries) return tl::unexpected(entries.error());
  const RawMap copy(fd->get(), layout.name);
  for (std::uint32_t i = 0; i < entries->count; ++i) {
    if (auto put = copy.put_bytes(entries->keys.data() + std::size_t{i} * layout.key_size,
                                  entries->values.data() + std::size_t{i} * layout.value_size);
        !put)
      return tl::unexpected(std::move(put.error()));
  }
  return fd;
}

Result<UniqueFd> add_map(const MapLayout& layout, const std::filesystem::path& pin) {
  const auto fd = create_map(layout);
  if (!fd) return tl::unexpected(fd.error());
  // Another process may have been faster; then its map is opened.
  if (bpf_obj_pin(fd->get(), pin.c_str()) != 0 && errno != EEXIST)
    return fail_bpf(errno, "pin " + pin.string());
  return open_pin(pin);
}

constexpr const char* another_version =
    "another version of Sluice loaded it; sluice-loader detach --all starts afresh";

Result<void> require_fitting(const MapLayout& expected, int fd, int map_versions_fd) {
  if (auto readable = PinnedVersions(map_versions_fd).require_readable(expected.name); !readable)
    return readable;
  const auto actual = map_info(fd);
  if (!actual) return tl::unexpected(actual.error());
  auto wanted = expected;
  if (had_capacity(expected.name, actual->layout.max_entries))
    wanted.max_entries = actual->layout.max_entries;
  const auto difference = layout_difference(wanted, actual->layout);
  if (difference.empty()) return {};
  return fail(ErrorKind::conflict,
              fmt::format("the pinned map {} does not fit: {}", expected.name, difference),
              another_version);
}

// The kernel allocates the tables at once and may push half of the machine's memory out for it, so
// we check first.
Result<void> require_memory_for(const sluice_flow_table& table, const char* advice) {
  constexpr std::uint64_t mebibyte = 1024 * 1024;
  const std::uint64_t needed =
      std::uint64_t{sizeof(sluice_bucket4)} * SLUICE_FLOW_BUCKETS(table.homes4) +
      std::uint64_t{sizeof(sluice_bucket6)} * SLUICE_FLOW_BUCKETS(table.homes6);

  std::ifstream lines("/proc/meminfo");
  std::uint64_t available_kib = 0;
  for (std::string field; lines >> field;) {
    if (field == "MemAvailable:" && lines >> available_kib) break;
  }
  if (available_kib == 0 || needed / 1024 < available_kib) return {};
  return fail(ErrorKind::invalid,
              fmt::format("tables of {} IPv4 and {} IPv6 flows need about {} MiB, and {} MiB are "
                          "available",
                          table.capacity, table.capacity6, needed / mebibyte, available_kib / 1024),
              advice);
}

// The kernel writes the result back into the request.
template <typename Request>
Result<void> run_request(int program_fd, const char* name, Request& request) {
  LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &request, .ctx_size_in = sizeof request);
  if (bpf_prog_test_run_opts(program_fd, &run) == 0) return {};
  return fail_bpf(errno, std::string("run program ") + name);
}

// Makes the arrays of a copy readable as memory; those of another program that it uses stay as they
// are. Not for what is pinned, because flags are part of a map's layout.
void make_arrays_mappable(const Object& object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    if (is_contract(map) && bpf_map__type(map) == BPF_MAP_TYPE_ARRAY)
      bpf_map__set_map_flags(map, bpf_map__map_flags(map) | BPF_F_MMAPABLE);
  }
}

}  // namespace

bool is_exchanged_across(std::string_view map) {
  return is_of_the_tables(map) || map == "vips4" || map == "vips6" || map == "map_versions";
}

Result<std::vector<MapLayout>> compiled_map_layouts() {
  auto object = Object::open();
  if (!object) return tl::unexpected(std::move(object.error()));
  std::vector<MapLayout> layouts;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object->get()) {
    if (is_contract(map)) layouts.push_back(layout_of(map));
  }
  return layouts;
}

std::string layout_difference(const MapLayout& expected, const MapLayout& actual) {
  const auto differs = [](std::string_view what, std::uint32_t is, std::uint32_t wanted) {
    return fmt::format("its {} is {}, this build expects {}", what, is, wanted);
  };
  if (actual.type != expected.type) {
    const auto name = [](std::uint32_t type) {
      const char* text = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
      return text ? std::string(text) : std::to_string(type);
    };
    return fmt::format("its type is {}, this build expects {}", name(actual.type),
                       name(expected.type));
  }
  if (actual.key_size != expected.key_size) {
    return differs("key size", actual.key_size, expected.key_size);
  }
  if (actual.value_size != expected.value_size) {
    return differs("value size", actual.value_size, expected.value_size);
  }
  if (expected.max_entries != 0 && actual.max_entries != expected.max_entries) {
    return differs("capacity", actual.max_entries, expected.max_entries);
  }
  if (actual.flags != expected.flags) return differs("flags", actual.flags, expected.flags);
  return {};
}

Result<Program> Program::load(const LoadOptions& options) {
  for (const auto flows : {options.flows, std::max(options.flows6, 1U)}) {
    if (flows != 0 && flows <= max_flows) continue;
    return fail(ErrorKind::invalid, fmt::format("{} flows is out of range", flows),
                fmt::format("choose 1 to {}", max_flows));
  }
  auto object = Object::open();
  if (!object) return tl::unexpected(std::move(object.error()));
  const auto table = dimensions(options);
  if (auto enough = require_memory_for(table, "choose a smaller --flows"); !enough) {
    return tl::unexpected(std::move(enough.error()));
  }
  object->set_flow_table(table);
  object->set_fast_path(options.fast_path);
  if (options.jiffies_per_second) object->set_clock(options.jiffies_per_second);
  if (auto loaded = object->load(); !loaded) {
    return tl::unexpected(std::move(loaded.error()));
  }

  Program program;
  program.take_programs(*object);
  program.take_maps(*object);
  if (auto written = program.flow_table_map().put(0, table); !written) {
    return tl::unexpected(std::move(written.error()));
  }
  if (auto noted = note_versions(program); !noted) return tl::unexpected(std::move(noted.error()));
  return program;
}

Result<Program> Program::load_over(const Program& maps) {
  auto object = Object::open();
  if (!object) return tl::unexpected(std::move(object.error()));
  const auto table = maps.flow_table();
  if (!table) return tl::unexpected(table.error());
  object->set_flow_table(*table);
  if (auto reused = object->reuse_maps(maps); !reused) {
    return tl::unexpected(std::move(reused.error()));
  }
  if (auto loaded = object->load(); !loaded) {
    return tl::unexpected(std::move(loaded.error()));
  }
  Program program;
  program.take_programs(*object);
  for (const auto& [name, fd] : maps.maps_) program.maps_.emplace(name, duplicate(fd.get()));
  return program;
}

void Program::take_maps_but(const Program& maps, bool (*left_out)(std::string_view)) {
  for (const auto& [name, fd] : maps.maps_) {
    if (!left_out(name)) maps_.emplace(name, duplicate(fd.get()));
  }
}

void Program::take_maps_but_tables(const Program& maps) {
  take_maps_but(maps, is_of_the_tables);
}

Result<void> Program::create_tables(const sluice_flow_table& table) {
  if (auto enough = require_memory_for(table, "choose a smaller --flows"); !enough) return enough;
  const auto layouts = compiled_map_layouts();
  if (!layouts) return tl::unexpected(layouts.error());
  for (auto layout : *layouts) {
    if (!is_of_the_tables(layout.name)) continue;
    if (layout.name == "flows4") layout.max_entries = SLUICE_FLOW_BUCKETS(table.homes4);
    if (layout.name == "flows6") layout.max_entries = SLUICE_FLOW_BUCKETS(table.homes6);
    auto map = create_map(layout);
    if (!map) return tl::unexpected(std::move(map.error()));
    maps_.emplace(layout.name, std::move(*map));
  }
  return flow_table_map().put(0, table);
}

Result<Program> Program::with_new_tables(const Program& maps, std::uint32_t flows) {
  const auto present = maps.flow_table();
  if (!present) return tl::unexpected(present.error());
  // The hash keeps its seed, so that a packet's hash is the same in both tables.
  const auto table = dimensions({.flows = flows}, present->hash_seed);
  Program program;
  program.take_maps_but_tables(maps);
  if (auto created = program.create_tables(table); !created)
    return tl::unexpected(std::move(created.error()));
  return program;
}

Result<Program> Program::with_tables_across(const Program& maps) {
  auto table = maps.flow_table();
  if (!table) return tl::unexpected(table.error());
  table->homes4 = SLUICE_FLOW_HOMES4(table->capacity);
  table->homes6 = SLUICE_FLOW_HOMES6(table->capacity6);
  Program program;
  program.take_maps_but(maps, is_exchanged_across);
  if (auto created = program.create_tables(*table); !created)
    return tl::unexpected(std::move(created.error()));
  for (const char* name : {"vips4", "vips6", "map_versions"}) {
    auto copied = copy_map(RawMap(maps, name));
    if (!copied) return tl::unexpected(std::move(copied.error()));
    program.maps_.emplace(name, std::move(*copied));
  }
  if (auto noted = note_versions(program); !noted) return tl::unexpected(std::move(noted.error()));
  return program;
}

Result<Program> Program::with_tables_of(const Program& maps, const std::filesystem::path& pins) {
  Program program;
  program.take_maps_but_tables(maps);
  for (const char* name : {"flows4", "flows6", "flow_table", "flow_areas"}) {
    auto map = open_pin(pins / name);
    if (!map) return tl::unexpected(std::move(map.error()));
    program.maps_.emplace(name, std::move(*map));
  }
  return program;
}

Result<Program> Program::load_to_move(const Program& maps, const Program& other, Move when) {
  auto object = Object::open();
  if (!object) return tl::unexpected(std::move(object.error()));
  const auto table = maps.flow_table();
  if (!table) return tl::unexpected(table.error());
  object->set_flow_table(*table);
  const auto phase = when == Move::now ? SLUICE_FLOW_MOVE_NOW : SLUICE_FLOW_MOVE_SOON;
  if (auto set = object->set_move(phase, other); !set)
    return tl::unexpected(std::move(set.error()));
  if (auto reused = object->reuse_maps(maps); !reused)
    return tl::unexpected(std::move(reused.error()));
  if (auto loaded = object->load(); !loaded) return tl::unexpected(std::move(loaded.error()));
  Program program;
  program.take_programs(*object);
  if (when == Move::now) program.move_ = duplicate(bpf_program__fd(object->move_program()));
  for (const auto& [name, fd] : maps.maps_) program.maps_.emplace(name, duplicate(fd.get()));
  return program;
}

Result<Program> Program::load_to_cross(const Program& maps, int former, int calls_already) {
  auto object = Object::open();
  if (!object) return tl::unexpected(std::move(object.error()));
  const auto table = maps.flow_table();
  if (!table) return tl::unexpected(table.error());
  object->set_flow_table(*table);
  if (auto set = object->set_crossing(calls_already); !set)
    return tl::unexpected(std::move(set.error()));
  if (auto reused = object->reuse_maps(maps); !reused)
    return tl::unexpected(std::move(reused.error()));
  if (auto loaded = object->load(); !loaded) return tl::unexpected(std::move(loaded.error()));
  auto calls = object->cross_from(former);
  if (!calls) return tl::unexpected(std::move(calls.error()));
  Program program;
  program.take_programs(*object);
  program.former_ = std::move(*calls);
  for (const auto& [name, fd] : maps.maps_) program.maps_.emplace(name, duplicate(fd.get()));
  return program;
}

Result<void> Program::freeze_vips() const {
  for (const char* name : {"vips4", "vips6"}) {
    if (auto frozen = RawMap(*this, name).freeze(); !frozen) return frozen;
  }
  return {};
}

Result<void> Program::forget_frozen_vips() const {
  auto object = Object::open();
  if (!object) return tl::unexpected(std::move(object.error()));
  object->load_only_forget_vips();
  if (auto reused = object->reuse_maps(*this); !reused) return reused;
  if (auto loaded = object->load(); !loaded) return loaded;
  LIBBPF_OPTS(bpf_test_run_opts, run);
  if (bpf_prog_test_run_opts(object->keep_program("forget_vips").get(), &run) == 0) return {};
  return fail_bpf(errno, "run program forget_vips");
}

Result<void> run_replicas(int program_fd, sluice_flow_batch& batch) {
  return run_request(program_fd, "flow_replicas", batch);
}

Result<void> Program::move_flows(sluice_flow_move& request) const {
  return run_request(move_.get(), "flow_move", request);
}

Result<void> expire_short(int program_fd, sluice_flow_expire_short& request) {
  return run_request(program_fd, "flow_expire_short", request);
}

Result<void> rehome_flows(int program_fd, sluice_flow_rehome& request) {
  return run_request(program_fd, "flow_rehome", request);
}

Result<void> sweep_flows(int program_fd, sluice_flow_sweep& slice) {
  return run_request(program_fd, "flow_sweep", slice);
}

Result<void> walk_flows(int program_fd, sluice_flow_batch& batch) {
  return run_request(program_fd, "flow_walk", batch);
}

Result<void> put_flows(int program_fd, sluice_flow_batch& batch) {
  return run_request(program_fd, "flow_put", batch);
}

Result<Program> Program::open_pinned(const std::filesystem::path& pin_directory) {
  return open_pinned(pin_directory, Opening::add_missing);
}

Result<Program> Program::look_at_pinned(const std::filesystem::path& pin_directory) {
  return open_pinned(pin_directory, Opening::look);
}

Result<bool> Program::has_former_tables(const std::filesystem::path& pin_directory) {
  const PinDirectory pins(pin_directory);
  const auto layouts = compiled_map_layouts();
  if (!layouts) return tl::unexpected(layouts.error());
  const auto versions = open_pin(pins.map("map_versions"));
  if (!versions && versions.error().system_errno != ENOENT) return tl::unexpected(versions.error());
  for (const auto& layout : *layouts) {
    if (!has_slots(layout.name)) continue;
    const auto fd = open_pin(pins.map(layout.name));
    if (!fd && fd.error().system_errno == ENOENT && came_later(layout.name)) continue;
    if (!fd) return tl::unexpected(fd.error());
    if (const auto fits = require_fitting(layout, fd->get(), versions ? versions->get() : -1);
        !fits) {
      if (fits.error().kind != ErrorKind::conflict) return tl::unexpected(fits.error());
      return true;
    }
  }
  return false;
}

Result<Program> Program::open_former(const std::filesystem::path& pin_directory) {
  return open_pinned(pin_directory, Opening::former);
}

Result<Program> Program::reopen_former(const Program& now, const std::filesystem::path& moving) {
  Program program;
  program.take_maps_but(now, is_exchanged_across);
  for (const auto& [name, ours] : now.maps_) {
    if (!is_exchanged_across(name)) continue;
    auto map = open_pin(moving / name);
    if (!map && map.error().system_errno == ENOENT) continue;  // it came later
    if (!map) return tl::unexpected(std::move(map.error()));
    program.maps_.emplace(name, std::move(*map));
  }
  if (auto opened = program.open_programs(moving); !opened)
    return tl::unexpected(std::move(opened.error()));
  auto calls = open_pin(moving / "former");
  if (!calls) return tl::unexpected(std::move(calls.error()));
  program.former_ = std::move(*calls);
  return program;
}

Result<void> Program::open_maps(const std::filesystem::path& pin_directory, Opening how) {
  if (auto known = know_possible_cpus(); !known) return known;
  const PinDirectory pins(pin_directory);
  auto layouts = compiled_map_layouts();
  if (!layouts) return tl::unexpected(std::move(layouts.error()));
  // The versions come first, because opening any other map consults them.
  std::partition(layouts->begin(), layouts->end(),
                 [](const MapLayout& layout) { return layout.name == "map_versions"; });
  std::vector<MapLayout> missing;
  for (auto& expected : *layouts) {
    auto fd = open_pin(pins.map(expected.name));
    if (!fd && fd.error().system_errno == ENOENT && came_later(expected.name)) {
      missing.push_back(std::move(expected));
      continue;
    }
    if (!fd && fd.error().system_errno == ENOENT) {
      return fail(ErrorKind::conflict,
                  fmt::format("map {} is not pinned in {}", expected.name, pin_directory.string()),
                  another_version);
    }
    if (!fd) return tl::unexpected(std::move(fd.error()));
    const bool may_differ = how == Opening::former && has_slots(expected.name);
    if (auto fits = require_fitting(expected, fd->get(), map_fd("map_versions"));
        !fits && !may_differ)
      return fits;
    maps_.emplace(expected.name, std::move(*fd));
  }
  if (how == Opening::look) return {};
  // No map is added beside maps that can't be used.
  for (const auto& layout : missing) {
    if (how == Opening::former && has_slots(layout.name)) continue;
    auto fd = add_map(layout, pins.map(layout.name));
    if (!fd) return tl::unexpected(std::move(fd.error()));
    maps_.emplace(layout.name, std::move(*fd));
    if (auto noted = PinnedVersions(map_fd("map_versions")).note(layout.name); !noted) return noted;
  }
  return {};
}

Result<void> Program::open_programs(const std::filesystem::path& directory) {
  for (auto [fd, name] :
       {std::pair{&xdp_, "sluice_xdp"}, {&expire_, "flow_expire"}, {&flush_, "flow_flush"}}) {
    auto opened = open_pin(directory / name);
    if (!opened) return tl::unexpected(std::move(opened.error()));
    *fd = std::move(*opened);
  }
  for (auto [fd, name] : {std::pair{&sweep_, "flow_sweep"},
                          {&expire_short_, "flow_expire_short"},
                          {&rehome_, "flow_rehome"},
                          {&walk_, "flow_walk"},
                          {&put_, "flow_put"},
                          {&replicas_, "flow_replicas"}}) {
    if (auto opened = open_pin(directory / name)) *fd = std::move(*opened);
  }
  return {};
}

Result<Program> Program::open_pinned(const std::filesystem::path& pin_directory, Opening how) {
  Program program;
  if (auto opened = program.open_maps(pin_directory, how); !opened)
    return tl::unexpected(std::move(opened.error()));
  if (auto opened = program.open_programs(PinDirectory(pin_directory).path()); !opened)
    return tl::unexpected(std::move(opened.error()));
  return program;
}

Result<Program> Program::load_beside(const Program& maps, const BesideOptions& options) {
  auto object = Object::open();
  if (!object) return tl::unexpected(std::move(object.error()));
  auto table = maps.flow_table();
  if (!table) return tl::unexpected(std::move(table.error()));
  if (!options.ipv4) table->homes4 = table->capacity = 1;
  if (!options.ipv6) table->homes6 = table->capacity6 = 1;
  if (auto enough = require_memory_for(*table, ""); !enough) {
    return tl::unexpected(std::move(enough.error()));
  }
  object->set_flow_table(*table);
  if (options.jiffies_per_second) object->set_clock(options.jiffies_per_second);
  object->leave_out_requests_but_flush();
  if (auto reused = object->reuse_configuration(maps); !reused) {
    return tl::unexpected(std::move(reused.error()));
  }
  make_arrays_mappable(*object);
  if (auto loaded = object->load(); !loaded) {
    return tl::unexpected(std::move(loaded.error()));
  }
  Program program;
  program.xdp_ = duplicate(bpf_program__fd(object->xdp_program()));
  program.flush_ = duplicate(bpf_program__fd(object->flush_program()));
  program.take_maps(*object);
  return program;
}

void Program::take_maps(const Object& object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.get()) {
    if (is_contract(map)) maps_.emplace(contract_name(map), duplicate(bpf_map__fd(map)));
  }
}

void Program::take_programs(const Object& object) {
  xdp_ = duplicate(bpf_program__fd(object.xdp_program()));
  sweep_ = duplicate(bpf_program__fd(object.sweep_program()));
  expire_ = duplicate(bpf_program__fd(object.expire_program()));
  flush_ = duplicate(bpf_program__fd(object.flush_program()));
  expire_short_ = duplicate(bpf_program__fd(object.expire_short_program()));
  rehome_ = duplicate(bpf_program__fd(object.rehome_program()));
  walk_ = duplicate(bpf_program__fd(object.walk_program()));
  put_ = duplicate(bpf_program__fd(object.put_program()));
  replicas_ = duplicate(bpf_program__fd(object.replicas_program()));
}

std::vector<Program::Named> Program::programs() const {
  std::vector<Named> all{
      {xdp_fd(), "sluice_xdp"}, {expire_fd(), "flow_expire"}, {flush_fd(), "flow_flush"}};
  for (const auto& later : {Named{sweep_.get(), "flow_sweep"},
                            {expire_short_fd(), "flow_expire_short"},
                            {rehome_fd(), "flow_rehome"},
                            {walk_fd(), "flow_walk"},
                            {put_fd(), "flow_put"},
                            {replicas_fd(), "flow_replicas"}}) {
    if (later.fd >= 0) all.push_back(later);
  }
  return all;
}

int Program::map_fd(std::string_view name) const {
  const auto found = maps_.find(name);
  return found == maps_.end() ? -1 : found->second.get();
}

Result<std::uint32_t> Program::capacity(std::string_view map) const {
  return map_info(map_fd(map)).map([](const MapInfo& info) { return info.layout.max_entries; });
}

Result<sluice_flow_table> Program::flow_table() const {
  const auto table = flow_table_map().lookup(0);
  if (!table) return tl::unexpected(table.error());
  return table->value_or(sluice_flow_table{});
}

std::uint32_t Program::flow_capacity() const {
  const auto table = flow_table();
  return table ? table->capacity : 0;
}

std::uint32_t Program::flow_capacity6() const {
  const auto table = flow_table();
  return table ? table->capacity6 : 0;
}

ArrayMap<sluice_flow_table> Program::flow_table_map() const {
  return {*this, "flow_table"};
}

}  // namespace sluice::kernel
