// Program: Sluice's BPF programs and maps in the kernel, held open by file descriptors.
//
// Loaded anew, loaded over the maps of another instance (upgrade), or opened from its pins. What a
// build expects of the maps is read from its own embedded object, so that there is one description
// of them: maps/*.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

struct sluice_flow_table;
struct sluice_flow_move;

namespace sluice::kernel {

template <typename Key, typename Value>
class Map;
template <typename Value>
using ArrayMap = Map<std::uint32_t, Value>;

struct LoadOptions {
  std::uint32_t flows = 1U << 20;  // IPv4 connections; each takes two slots
  std::uint32_t flows6 = 0;        // IPv6 connections; 0: a fixed share of `flows`
  bool fast_path = true;           // false: every packet takes the slow path (bpf/fast_path.h)
  // Jiffies that the data plane takes for a second; 0: as many as the kernel counts. With more, its
  // time goes slower, for tests that must not depend on their own speed.
  std::uint32_t jiffies_per_second = 0;
};
// What is loaded beside the programs in use, to see what they would do.
struct BesideOptions {
  // The flow tables that are to be as large as the real ones, so that flows can be where they are
  // there; the other one is as small as can be.
  bool ipv4 = true;
  bool ipv6 = true;
  std::uint32_t jiffies_per_second = 0;  // as LoadOptions
};
inline constexpr std::uint32_t max_flows = 1U << 29;  // a slot's index fits 31 bits

// What a map must look like for this build.
struct MapLayout {
  std::string name;
  std::uint32_t type = 0;  // enum bpf_map_type
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t max_entries = 0;  // 0: any (the flow tables, sized by the operator)
  std::uint32_t flags = 0;
};

// The maps that this build was compiled with.
Result<std::vector<MapLayout>> compiled_map_layouts();

// Empty when `actual` fits `expected`; otherwise what differs: "value size is 60, this build
// expects 64".
std::string layout_difference(const MapLayout& expected, const MapLayout& actual);

class Program {
 public:
  // Loads programs and creates fresh maps. Nothing is pinned: all is gone with the last descriptor.
  static Result<Program> load(const LoadOptions& options);
  // Loads this build's programs over the maps that `maps` holds, after checking that their layouts
  // fit.
  static Result<Program> load_over(const Program& maps);
  // The same maps, but new and empty flow tables for so many connections. No programs.
  static Result<Program> with_new_tables(const Program& maps, std::uint32_t flows);
  // Likewise, with tables that another process made and pinned in this directory.
  static Result<Program> with_tables_of(const Program& maps, const std::filesystem::path& pins);
  // Loads this build's programs over `maps`, to run while flows are moved between its flow tables
  // and those of `other` (bpf/move.h).
  enum class Move { soon, now };
  static Result<Program> load_to_move(const Program& maps, const Program& other, Move when);
  // Of a program that moves flows now: empties a few buckets of the other table, as `request` says.
  Result<void> move_flows(sluice_flow_move& request) const;
  // Loads this build's XDP program over the configuration of `maps` (what the controller writes),
  // and over empty tables of its own for what packets change. Nothing is pinned, and nothing
  // sweeps.
  static Result<Program> load_beside(const Program& maps, const BesideOptions& options);
  // Opens what is pinned, and adds the maps that an older version did not have;
  // ErrorKind::conflict names the map whose version or layout this build can't use.
  static Result<Program> open_pinned(const std::filesystem::path& pin_directory);
  // The same for those who change nothing there: what an older version did not have stays missing,
  // and map_fd() of it is -1.
  static Result<Program> look_at_pinned(const std::filesystem::path& pin_directory);

  int xdp_fd() const { return xdp_.get(); }
  int expire_fd() const { return expire_.get(); }
  int flush_fd() const { return flush_.get(); }
  // All of them, as they are pinned.
  struct Named {
    int fd;
    const char* name;
  };
  std::vector<Named> programs() const {
    return {{xdp_fd(), "sluice_xdp"}, {expire_fd(), "flow_expire"}, {flush_fd(), "flow_flush"}};
  }
  // -1 for a name that is no map.
  int map_fd(std::string_view name) const;
  const std::map<std::string, UniqueFd, std::less<>>& maps() const { return maps_; }

  // IPv4 and IPv6 connections that the flow tables have room for.
  std::uint32_t flow_capacity() const;
  std::uint32_t flow_capacity6() const;
  // What the flow tables were made for; a program over the same maps must know it.
  Result<sluice_flow_table> flow_table() const;

 private:
  Program() = default;
  static Result<Program> open_pinned(const std::filesystem::path& pin_directory, bool add_missing);
  Result<void> open_maps(const std::filesystem::path& pin_directory, bool add_missing);
  void take_maps_but_tables(const Program& maps);
  void take_programs(const class Object& object);
  void take_maps(const class Object& object);
  ArrayMap<sluice_flow_table> flow_table_map() const;

  UniqueFd xdp_;
  UniqueFd expire_;
  UniqueFd flush_;
  UniqueFd move_;  // only of those that move flows now
  std::map<std::string, UniqueFd, std::less<>> maps_;
};

}  // namespace sluice::kernel
