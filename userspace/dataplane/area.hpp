// Area: the part of a flow table in which flows have their homes (maps/flow.h), fitted to the load.
//
// With few flows in a large table nearly every packet meets a cold page; in an area that fits them
// it doesn't (bpf/flow_table.h). Changing the area moves flows, under traffic.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/result.hpp"

namespace sluice::kernel {
class Program;
}

namespace sluice::dataplane {

// A family's table and what is in it.
struct TableLoad {
  std::uint32_t homes = 0;         // of the whole table
  std::uint32_t bucket_slots = 1;  // slots of a home's bucket
  std::uint64_t connections = 0;   // two slots each
};

// The area for this load, as its shift (SLUICE_AREA_SHIFT_OF); 0 is the whole table.
std::uint32_t fitting_area(const TableLoad& load);
// Is this one so full that searches get long?
bool is_crowded(const TableLoad& load, std::uint32_t shift);

// Decides when areas change, and carries it out.
class AreaKeeper {
 public:
  // After a sweep, which counted these connections. A crowded area grows at once; one that is too
  // large shrinks only when it was so at many sweeps, since that moves every flow.
  void note_load(std::uint64_t connections4, std::uint64_t connections6);
  // Moves flows for a second at most. `rehome_fd`: the flow_rehome
  // program; -1: it is of a version without areas, and nothing is done.
  Result<void> fit(int rehome_fd, const kernel::Program& program);
  // Says whether the data plane has changed an area since fit(): an insertion found it crowded. Any
  // thread may call it.
  bool is_changed(const kernel::Program& program) const;

 private:
  struct Family {
    std::uint64_t connections = 0;
    int sweeps_too_large = 0;
    std::uint32_t first = 0, change = 0, left = 0;  // of the walk under way

    std::uint32_t wanted_area(const TableLoad& load, std::uint64_t area);
    Result<void> walk(int rehome_fd, std::uint32_t family, std::uint32_t wanted);
  };

  static constexpr std::uint64_t not_fitted = ~std::uint64_t{0};

  std::array<Family, 2> families_;                                            // IPv4, IPv6
  std::array<std::atomic<std::uint64_t>, 2> fitted_{not_fitted, not_fitted};  // words after fit()
};

}  // namespace sluice::dataplane
