#include "tests/bench/loaded.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <vector>

#include "kernel/libbpf_log.hpp"
#include "kernel/object.hpp"
#include "maps/flow.h"
#include "tests/bench/subject.hpp"

namespace sluice::bench {
namespace {

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};

void keep_maps(Loaded& loaded, const bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (const auto name = kernel::contract_name(map); !name.empty())
      loaded.maps.emplace(name, duplicate(bpf_map__fd(map)));
  }
}

UniqueFd keep_program(const bpf_object* object, const char* name) {
  const auto* program = bpf_object__find_program_by_name(object, name);
  return program == nullptr ? UniqueFd() : duplicate(bpf_program__fd(program));
}

// Finds the map with an object's `const` variables.
bpf_map* constants(const bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (std::string_view(bpf_map__name(map)).ends_with(".rodata")) return map;
  }
  die("an object has no settings");
}

std::vector<std::uint8_t> value_of(bpf_map* map) {
  std::size_t bytes = 0;
  const auto* value = static_cast<const std::uint8_t*>(bpf_map__initial_value(map, &bytes));
  return {value, value + bytes};
}

struct Setting {
  std::uint32_t offset, bytes;
};

// Finds the place of each `const volatile` in the map of constants(). A mere `const` belongs to its
// program.
std::map<std::string, Setting> settings(const bpf_object* object) {
  std::map<std::string, Setting> found;
  const btf* types = bpf_object__btf(object);
  const int section = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  if (section < 0) return found;
  const auto* all = btf__type_by_id(types, static_cast<__u32>(section));
  const auto* variables = btf_var_secinfos(all);
  for (int i = 0; i < btf_vlen(all); ++i) {
    const auto* variable = btf__type_by_id(types, variables[i].type);
    const auto* type = btf__type_by_id(types, variable->type);
    if (btf_is_const(type)) type = btf__type_by_id(types, type->type);
    if (btf_is_volatile(type))
      found[btf__name_by_offset(types, variable->name_off)] = {variables[i].offset,
                                                               variables[i].size};
  }
  return found;
}

void copy_settings(const bpf_object* from, const bpf_object* to) {
  const auto known = settings(from);
  const auto ours = value_of(constants(from));
  auto value = value_of(constants(to));
  for (const auto& [name, setting] : settings(to)) {
    const auto found = known.find(name);
    if (found == known.end() || found->second.bytes != setting.bytes) continue;
    std::memcpy(&value[setting.offset], &ours[found->second.offset], setting.bytes);
  }
  check(bpf_map__set_initial_value(constants(to), value.data(), value.size()) == 0,
        "set the other object's settings");
}

// Lets only this program and the two that look after the tables be loaded; like ours, the program
// is for more than one buffer, because the wrapper could not call it otherwise.
void choose_programs(const OtherObject& other, const bpf_object* object) {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    const std::string_view name = bpf_program__name(program);
    const bool is_measured = name == other.program;
    bpf_program__set_autoload(program, is_measured || name == "flow_sweep" ||
                                           name == "flow_expire" || name == "flow_flush");
    if (is_measured)
      bpf_program__set_flags(program, bpf_program__flags(program) | BPF_F_XDP_HAS_FRAGS);
  }
}

}  // namespace

int Loaded::map_fd(std::string_view name) const {
  const auto found = maps.find(name);
  return found == maps.end() ? -1 : found->second.get();
}

Loaded load_ours(const kernel::LoadOptions& options) {
  const auto program = kernel::Program::load(options);
  if (!program) die(program.error().text());
  Loaded loaded;
  loaded.xdp = duplicate(program->xdp_fd());
  loaded.expire = duplicate(program->sweep_fd());
  loaded.flush = duplicate(program->flush_fd());
  loaded.rehome = duplicate(program->rehome_fd());
  for (const auto& [name, fd] : program->maps()) loaded.maps.emplace(name, duplicate(fd.get()));
  return loaded;
}

Loaded load_other(const OtherObject& other, const sluice_flow_table& table) {
  auto ours = kernel::Object::open();
  if (!ours) die(ours.error().text());
  ours->set_flow_table(table);

  kernel::LibbpfLog log;
  const std::unique_ptr<bpf_object, CloseObject> object(
      bpf_object__open_file(other.file.c_str(), nullptr));
  if (object == nullptr) die(other.file + " can't be read as a BPF object");
  if (bpf_object__find_program_by_name(object.get(), other.program.c_str()) == nullptr)
    die(fmt::format("{} has no program {}", other.file, other.program));
  copy_settings(ours->get(), object.get());
  for (const char* name : {"flows4", "flows6"}) {
    auto* map = bpf_object__find_map_by_name(object.get(), name);
    if (map == nullptr) die(fmt::format("{} has no map {}", other.file, name));
    bpf_map__set_max_entries(map,
                             bpf_map__max_entries(bpf_object__find_map_by_name(ours->get(), name)));
  }
  choose_programs(other, object.get());
  if (bpf_object__load(object.get()) != 0) die("load " + other.file + ": " + log.last_line());
  Loaded loaded;
  loaded.xdp = keep_program(object.get(), other.program.c_str());
  loaded.expire = keep_program(object.get(), "flow_sweep");
  if (!loaded.expire)
    loaded.expire = keep_program(object.get(), "flow_expire");  // an older version
  loaded.flush = keep_program(object.get(), "flow_flush");
  keep_maps(loaded, object.get());
  put(loaded.map_fd("flow_table"), std::uint32_t{0}, table);
  return loaded;
}

}  // namespace sluice::bench
