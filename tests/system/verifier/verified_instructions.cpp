// verified_instructions: loads a BPF object and compares the number of instructions that the
// verifier walked through with the recorded one, so that growth is noticed before a kernel refuses
// the object (at a million).
//
// Usage: verified_instructions OBJECT COMPILER RECORD RECORD has lines "KERNEL COMPILER PROGRAM
// INSTRUCTIONS", e.g. "6.1 clang-14 sluice_xdp 326000". The programs that run while flows are moved
// (bpf/move.h) differ for the verifier and have "/moving" behind their names. More than 2 % above
// the record fails, and so does a refused object. Numbers without a record are only printed,
// because another kernel counts otherwise.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

namespace {

constexpr int skipped = 77;  // as ctest has been told

std::string kernel_series() {
  utsname name{};
  uname(&name);
  unsigned major = 0, minor = 0;
  std::sscanf(name.release, "%u.%u", &major, &minor);
  return fmt::format("{}.{}", major, minor);
}

std::optional<unsigned> recorded(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key + " ", 0) == 0)
      return static_cast<unsigned>(std::stoul(line.substr(key.size())));
  }
  return std::nullopt;
}

// Makes the tables small, because the verifier doesn't care for their size.
void shrink_maps(bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const std::string_view name = bpf_map__name(map);
    if (name == "flows4" || name == "flows6") bpf_map__set_max_entries(map, 1024);
  }
}

// Sets a `const volatile` of this type; returns false if there is none of this name.
template <typename Value>
bool set_constant(const bpf_object* object, std::string_view name, Value value) {
  const btf* types = bpf_object__btf(object);
  const int section = btf__find_by_name_kind(types, ".rodata", BTF_KIND_DATASEC);
  if (section < 0) return false;
  const btf_type* variables = btf__type_by_id(types, static_cast<std::uint32_t>(section));
  const btf_var_secinfo* variable = btf_var_secinfos(variables);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (!std::string_view(bpf_map__name(map)).ends_with(".rodata")) continue;
    std::size_t size = 0;
    const auto* initial = static_cast<const char*>(bpf_map__initial_value(map, &size));
    std::string values(initial, size);
    for (unsigned i = 0; i < btf_vlen(variables); ++i) {
      const auto* type = btf__type_by_id(types, variable[i].type);
      if (btf__name_by_offset(types, type->name_off) != name) continue;
      std::memcpy(values.data() + variable[i].offset, &value, sizeof value);
      return bpf_map__set_initial_value(map, values.data(), size) == 0;
    }
  }
  return false;
}

bool check(const bpf_program* program, const std::string& compiler, const std::string& variant,
           const std::string& record) {
  bpf_prog_info info{};
  std::uint32_t length = sizeof info;
  if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) != 0) return false;
  const auto key =
      fmt::format("{} {} {}{}", kernel_series(), compiler, bpf_program__name(program), variant);
  const auto before = recorded(record, key);
  std::cout << fmt::format("{} {}{}\n", key, info.verified_insns,
                           before ? fmt::format(" (recorded: {})", *before) : " (not recorded)");
  if (!before || info.verified_insns <= *before + *before / 50) return true;
  std::cout << fmt::format("grew by {:.1f} %: if that is worth it, write the new number into {}\n",
                           100.0 * info.verified_insns / *before - 100, record);
  return false;
}

bool check_object(const char* path, const std::string& compiler, const std::string& variant,
                  const std::string& record) {
  bpf_object* object = bpf_object__open_file(path, nullptr);
  if (object == nullptr) {
    std::cerr << "can't open " << path << "\n";
    return false;
  }
  shrink_maps(object);
  bpf_program* program = nullptr;
  const bool crossing = variant == "/crossing";
  const auto is_wanted = [&](const bpf_program* one) {
    const std::string_view name = bpf_program__name(one);
    return crossing ? name == "sluice_crossing" || name == "flow_put" : name != "sluice_crossing";
  };
  bpf_object__for_each_program(program, object)
      bpf_program__set_autoload(program, is_wanted(program));
  constexpr std::uint32_t moving_now = 2;  // SLUICE_FLOW_MOVE_NOW
  bool fine = true;
  if (variant == "/moving") fine = set_constant(object, "flow_move_phase", moving_now);
  if (crossing) fine = set_constant(object, "flow_is_crossing", true);
  fine = fine && bpf_object__load(object) == 0;
  if (fine) {
    // All programs are compared, so that one run shows every number to be recorded.
    bpf_object__for_each_program(program, object) {
      if (is_wanted(program) && !check(program, compiler, variant, record)) fine = false;
    }
  } else {
    std::cout << "the kernel refuses " << path << variant << "\n";
  }
  bpf_object__close(object);
  return fine;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "Usage: verified_instructions OBJECT COMPILER RECORD\n";
    return 2;
  }
  if (geteuid() != 0) {
    std::cout << "skipped: loading BPF programs needs root\n";
    return skipped;
  }
  const bool usual = check_object(argv[1], argv[2], "", argv[3]);
  const bool moving = check_object(argv[1], argv[2], "/moving", argv[3]);
  const bool crossing = check_object(argv[1], argv[2], "/crossing", argv[3]);
  return usual && moving && crossing ? 0 : 1;
}
