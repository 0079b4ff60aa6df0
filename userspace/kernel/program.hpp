// Program: Sluice's BPF programs and maps in the kernel, held open by file descriptors.
//
// They are loaded anew, loaded over the maps of another instance (upgrade), or opened from their
// pins. A build reads the layouts that it expects from its own embedded object, so that maps/*.h is
// their only description.
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
struct sluice_flow_sweep;
struct sluice_flow_expire_short;
struct sluice_flow_rehome;
struct sluice_flow_batch;

namespace sluice::kernel {

template <typename Key, typename Value>
class Map;
template <typename Value>
using ArrayMap = Map<std::uint32_t, Value>;

struct LoadOptions {
  std::uint32_t flows = 1U << 20;  // IPv4 connections; each takes two slots
  std::uint32_t flows6 = 0;        // IPv6 connections; 0: a fixed share of `flows`
  bool fast_path = true;           // false: every packet takes the slow path (bpf/fast_path.h)
  // The number of jiffies that the data plane takes for a second; 0: the kernel's. A larger number
  // slows its clock, for tests that must not depend on their own speed.
  std::uint32_t jiffies_per_second = 0;
};
// Options of load_beside().
struct BesideOptions {
  // The families whose flow tables are as large as the real ones, so that flows have the same
  // places; other tables are as small as possible.
  bool ipv4 = true;
  bool ipv6 = true;
  std::uint32_t jiffies_per_second = 0;  // as LoadOptions
};
inline constexpr std::uint32_t max_flows = 1U << 29;  // a slot's index fits 31 bits

// The layout that this build expects of a map.
struct MapLayout {
  std::string name;
  std::uint32_t type = 0;  // enum bpf_map_type
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;
  std::uint32_t max_entries = 0;  // 0: any (the flow tables, sized by the operator)
  std::uint32_t flags = 0;
};

// The layouts of the maps that this build was compiled with.
Result<std::vector<MapLayout>> compiled_map_layouts();

// Says whether an upgrade that crosses to another layout of the flow tables has another map of this
// name than what it comes from (bpf/crossing.h).
bool is_exchanged_across(std::string_view map);

// Says what differs between the two; empty if `actual` fits `expected`: "value size is 60, this
// build expects 64".
std::string layout_difference(const MapLayout& expected, const MapLayout& actual);

class Program {
 public:
  // Loads programs and creates new maps. Nothing is pinned: all is gone with the last descriptor.
  static Result<Program> load(const LoadOptions& options);
  // Loads this build's programs over the maps that `maps` holds, after checking that their layouts
  // fit.
  static Result<Program> load_over(const Program& maps);
  // Shares the maps, but has new and empty flow tables for so many connections, and no programs.
  static Result<Program> with_new_tables(const Program& maps, std::uint32_t flows);
  // Does the same with tables that another process has made and pinned in this directory.
  static Result<Program> with_tables_of(const Program& maps, const std::filesystem::path& pins);
  // Loads this build's programs over `maps`, to run while flows are moved between its flow tables
  // and those of `other` (bpf/move.h).
  enum class Move { soon, now };
  static Result<Program> load_to_move(const Program& maps, const Program& other, Move when);
  // Shares the maps, but has flow tables of this build's layout, new and empty, for as many
  // connections, and a pair of `vips4` and `vips6` of its own with the same entries.
  static Result<Program> with_tables_across(const Program& maps);
  // Loads this build's programs over `maps`, to run while flows come from the tables of the program
  // `former`, which have another layout (bpf/crossing.h). They call `former` as long as this object
  // lives, or former_fd() is pinned.
  // `calls`: the former_fd() of such programs that are running already; -1: there are none.
  static Result<Program> load_to_cross(const Program& maps, int former, int calls = -1);
  int former_fd() const { return former_.get(); }
  // From now on processes can only read `vips4` and `vips6`; there is no way back. The other one
  // empties them, which is then up to programs.
  Result<void> freeze_vips() const;
  Result<void> forget_frozen_vips() const;
  // Empties a few buckets of the other table, as `request` says. Precondition: loaded with
  // Move::now.
  Result<void> move_flows(sluice_flow_move& request) const;
  // Loads this build's XDP program over those of `maps` that the controller writes, with empty
  // tables of its own for what packets change. Nothing is pinned, and nothing sweeps.
  static Result<Program> load_beside(const Program& maps, const BesideOptions& options);
  // Opens what is pinned, and adds the maps that an older version did not have;
  // ErrorKind::conflict names the map whose version or layout this build can't use.
  static Result<Program> open_pinned(const std::filesystem::path& pin_directory);
  // Says whether the flow tables that are pinned have another layout than this build's.
  static Result<bool> has_former_tables(const std::filesystem::path& pin_directory);
  // Opens what is pinned where that is so.
  static Result<Program> open_former(const std::filesystem::path& pin_directory);
  // Opens the maps and programs that an upgrade which crosses has left in PIN/moving; the other
  // maps are those of `now`.
  static Result<Program> reopen_former(const Program& now, const std::filesystem::path& moving);
  // Opens what is pinned without changing it: maps that an older version did not have stay missing,
  // and map_fd() of them is -1.
  static Result<Program> look_at_pinned(const std::filesystem::path& pin_directory);

  int xdp_fd() const { return xdp_.get(); }
  // flow_sweep, or flow_expire where an older version is pinned.
  int sweep_fd() const { return sweep_ ? sweep_.get() : expire_.get(); }
  int expire_fd() const { return expire_.get(); }
  int flush_fd() const { return flush_.get(); }
  // -1: pinned by a version that did not have the program.
  int expire_short_fd() const { return expire_short_.get(); }
  int rehome_fd() const { return rehome_.get(); }
  int walk_fd() const { return walk_.get(); }
  int put_fd() const { return put_.get(); }
  int replicas_fd() const { return replicas_.get(); }
  // All programs, with the names of their pins.
  struct Named {
    int fd;
    const char* name;
  };
  std::vector<Named> programs() const;
  // The map's descriptor; -1 if there is no such map.
  int map_fd(std::string_view name) const;
  const std::map<std::string, UniqueFd, std::less<>>& maps() const { return maps_; }

  // The number of entries for which the map has room. It may be less than in maps/*.h, if an
  // earlier version has made the map.
  Result<std::uint32_t> capacity(std::string_view map) const;
  // The number of IPv4 or IPv6 connections for which the flow tables have room.
  std::uint32_t flow_capacity() const;
  std::uint32_t flow_capacity6() const;
  // The dimensions of the flow tables, which every program over the same maps must know.
  Result<sluice_flow_table> flow_table() const;

 private:
  Program() = default;
  // What open_pinned() does with maps that are missing, and with flow tables of another layout.
  enum class Opening { add_missing, look, former };
  static Result<Program> open_pinned(const std::filesystem::path& pin_directory, Opening how);
  Result<void> open_maps(const std::filesystem::path& pin_directory, Opening how);
  Result<void> open_programs(const std::filesystem::path& directory);
  void take_maps_but_tables(const Program& maps);
  void take_maps_but(const Program& maps, bool (*left_out)(std::string_view));
  Result<void> create_tables(const sluice_flow_table& table);
  void take_programs(const class Object& object);
  void take_maps(const class Object& object);
  ArrayMap<sluice_flow_table> flow_table_map() const;

  UniqueFd xdp_;
  UniqueFd sweep_;
  UniqueFd expire_;
  UniqueFd expire_short_;
  UniqueFd flush_;
  UniqueFd rehome_;
  UniqueFd walk_;
  UniqueFd put_;
  UniqueFd replicas_;
  UniqueFd move_;    // only of those that move flows now
  UniqueFd former_;  // only of those to which flows come from another layout
  std::map<std::string, UniqueFd, std::less<>> maps_;
};

// Runs flow_expire_short once, as `request` says (maps/flow.h).
Result<void> expire_short(int program_fd, sluice_flow_expire_short& request);
// Runs flow_rehome once, as `request` says (maps/flow.h).
Result<void> rehome_flows(int program_fd, sluice_flow_rehome& request);
// Runs flow_sweep once: one slice of a sweep (maps/flow.h). An older version's flow_expire will do.
Result<void> sweep_flows(int program_fd, sluice_flow_sweep& slice);
// Runs flow_walk, flow_put or flow_replicas once, as `batch` says (maps/flow_image.h).
Result<void> walk_flows(int program_fd, sluice_flow_batch& batch);
Result<void> put_flows(int program_fd, sluice_flow_batch& batch);
Result<void> run_replicas(int program_fd, sluice_flow_batch& batch);

}  // namespace sluice::kernel
