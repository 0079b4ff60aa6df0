#include "packet/loaded.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string_view>
#include <tuple>

#include "packet/whole_map.hpp"

namespace sluice::test {
namespace {

// Tests use only the beginning of the large arrays (members and their state).
constexpr std::uint32_t large = 4096;
constexpr std::uint32_t cleaned_of_large = 1024;

bool same(const kernel::LoadOptions& a, const kernel::LoadOptions& b) {
  return std::tie(a.flows, a.flows6, a.fast_path, a.jiffies_per_second) ==
         std::tie(b.flows, b.flows6, b.fast_path, b.jiffies_per_second);
}

std::unique_ptr<Loaded>& current() {
  static std::unique_ptr<Loaded> loaded;
  return loaded;
}

class Unload final : public testing::Environment {
  void TearDown() override { Loaded::unload(); }
};
[[maybe_unused]] const auto* const unload_at_the_end =
    testing::AddGlobalTestEnvironment(new Unload);

int ignore(void*, void*, std::size_t) {
  return 0;
}

// The ids of all maps that the program uses, its own variables among them.
Result<std::vector<std::uint32_t>> maps_of(int program) {
  std::vector<std::uint32_t> ids(64);
  bpf_prog_info info{};
  info.nr_map_ids = static_cast<std::uint32_t>(ids.size());
  info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) return fail_errno(errno, "list the maps");
  if (info.nr_map_ids > ids.size()) return fail(ErrorKind::internal, "more maps than expected");
  ids.resize(info.nr_map_ids);
  return ids;
}

}  // namespace

// A map, which can be restored to its state after loading.
struct Loaded::Map {
  UniqueFd fd;
  bpf_map_info info{};
  std::vector<std::uint8_t> initial;  // an array's entries
  std::unique_ptr<ring_buffer, decltype(&ring_buffer__free)> ring{nullptr, ring_buffer__free};

  // Written all over, by a hash; all zero at first.
  bool is_scattered() const {
    const std::string_view name(info.name);  // its first 15 characters
    return name == "proof_numbers" || name == "record_handshak";
  }
  bool is_array() const {
    return !is_scattered() &&
           (info.type == BPF_MAP_TYPE_ARRAY || info.type == BPF_MAP_TYPE_PERCPU_ARRAY);
  }
  bool is_hash() const {
    return info.type == BPF_MAP_TYPE_HASH || info.type == BPF_MAP_TYPE_LRU_HASH ||
           info.type == BPF_MAP_TYPE_LPM_TRIE;
  }
  std::size_t entry_size() const {
    if (info.type != BPF_MAP_TYPE_PERCPU_ARRAY) return info.value_size;
    return (info.value_size + 7) / 8 * 8 * static_cast<std::size_t>(libbpf_num_possible_cpus());
  }
  // The number of entries of an array that tests may use.
  std::uint32_t cleaned() const {
    return info.max_entries <= large ? info.max_entries : cleaned_of_large;
  }
  // Reads the first entries with one system call.
  std::vector<std::uint8_t> read(std::uint32_t count) const {
    std::vector<std::uint8_t> entries(count * entry_size());
    std::vector<std::uint32_t> keys(count);
    std::uint32_t last = 0;
    EXPECT_TRUE(bpf_map_lookup_batch(fd.get(), nullptr, &last, keys.data(), entries.data(), &count,
                                     nullptr) == 0 ||
                errno == ENOENT)  // that was all
        << info.name << ": " << std::strerror(errno);
    return entries;
  }
  // Restores the first entries; returns the last one that had changed, or -1.
  int restore(std::uint32_t count) const {
    const auto entries = read(count);
    int last = -1;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto at = i * entry_size();
      if (std::memcmp(entries.data() + at, initial.data() + at, entry_size()) == 0) continue;
      bpf_map_update_elem(fd.get(), &i, initial.data() + at, BPF_EXIST);
      last = static_cast<int>(i);
    }
    return last;
  }
  void make_new() const {
    if (is_scattered()) {
      clear_array(fd.get());
    } else if (is_array()) {
      restore(cleaned());
    } else if (is_hash()) {
      empty_hash(fd.get());
    } else if (ring) {
      ring_buffer__consume(ring.get());
    }
  }
};

Loaded::Loaded(const kernel::LoadOptions& options, kernel::Program program)
    : options_(options), program_(std::move(program)) {}

Result<Loaded*> Loaded::with(const kernel::LoadOptions& options) {
  auto& loaded = current();
  if (loaded && same(loaded->options_, options)) {
    loaded->make_new();
    return loaded.get();
  }
  loaded.reset();  // and with it the links to the interfaces
  auto program = kernel::Program::load(options);
  if (!program) return tl::unexpected(std::move(program.error()));
  std::unique_ptr<Loaded> fresh(new Loaded(options, std::move(*program)));
  if (auto found = fresh->find_maps(); !found) return tl::unexpected(std::move(found.error()));
  loaded = std::move(fresh);
  return loaded.get();
}

Result<void> Loaded::find_maps() {
  std::set<std::uint32_t> ids;
  for (const auto& [fd, name] : program_.programs()) {
    const auto used = maps_of(fd);
    if (!used) return tl::unexpected(used.error());
    ids.insert(used->begin(), used->end());
  }
  for (const auto id : ids) {
    auto map = std::make_shared<Map>();
    map->fd = UniqueFd(bpf_map_get_fd_by_id(id));
    std::uint32_t size = sizeof map->info;
    if (!map->fd || bpf_obj_get_info_by_fd(map->fd.get(), &map->info, &size) != 0)
      return fail_errno(errno, "look at a map");
    if (map->info.map_flags & BPF_F_RDONLY_PROG) continue;       // settings
    if (map->info.type == BPF_MAP_TYPE_ARRAY_OF_MAPS) continue;  // rings_
    if (map->is_array()) {
      map->initial = map->read(map->info.max_entries);
    } else if (map->info.type == BPF_MAP_TYPE_RINGBUF) {
      map->ring.reset(ring_buffer__new(map->fd.get(), ignore, nullptr, nullptr));
      if (!map->ring) return fail_errno(errno, "read a ring buffer");
    } else if (!map->is_hash() && !map->is_scattered()) {
      return fail(ErrorKind::unsupported,
                  "map " + std::string(map->info.name) + " has a type that tests can't clean",
                  "teach tests/packet/loaded.cpp");
    }
    maps_.push_back(std::move(map));
  }
  return {};
}

void Loaded::make_new() {
  for (const auto& map : maps_) map->make_new();
  for (const auto& [pool, ring] : rings_) clear_array(ring.fd.get());
}

void Loaded::forget_answers() {
  for (const auto& map : maps_) {
    if (std::string_view(map->info.name) != "local_scratch") continue;
    const std::vector<std::uint8_t> none(map->entry_size());
    const std::uint32_t first = 0;
    EXPECT_EQ(bpf_map_update_elem(map->fd.get(), &first, none.data(), BPF_EXIST), 0);
    return;
  }
  ADD_FAILURE() << "the program has no map local_scratch";
}

Result<void> Loaded::attach(const std::string& interface) {
  auto& link = links_[interface];
  if (link) return {};
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  const auto index = static_cast<int>(if_nametoindex(interface.c_str()));
  link = UniqueFd(bpf_link_create(program_.xdp_fd(), index, BPF_XDP, &options));
  if (!link) return fail_errno(errno, "attach to " + interface);
  return {};
}

Result<const dataplane::Rehearsal*> Loaded::rehearsal() {
  if (!rehearsal_) {
    auto beside =
        dataplane::Rehearsal::over(program_, {.jiffies_per_second = options_.jiffies_per_second});
    if (!beside) return tl::unexpected(std::move(beside.error()));
    rehearsal_.emplace(std::move(*beside));
  }
  return &*rehearsal_;
}

void Loaded::unload() {
  const auto loaded = std::exchange(current(), nullptr);
  if (!loaded) return;
  for (const auto& map : loaded->maps_) {
    if (!map->is_array()) continue;
    EXPECT_LT(map->restore(map->info.max_entries), static_cast<int>(map->cleaned()))
        << "a test wrote to this entry of " << map->info.name
        << ", where tests/packet/loaded.cpp doesn't clean up for the next one";
  }
}

}  // namespace sluice::test
