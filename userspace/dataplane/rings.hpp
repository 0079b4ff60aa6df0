// Rings: `pool_rings`, the array of inner maps that say who gets a pool's next connection.
//
// Reading an inner map back takes CAP_SYS_ADMIN (the kernel opens maps by id for nobody else). A
// daemon that has dropped it recognises the rings that it wrote or read before by their ids, which
// the kernel never reuses soon.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/result.hpp"
#include "kernel/map.hpp"

namespace sluice::dataplane {

using Ring = std::vector<std::uint32_t>;  // indices into `members`; without the length element

class Rings {
 public:
  explicit Rings(const kernel::Program& program) : pool_rings_(program, "pool_rings") {}

  // Empty when the pool has no ring or nobody can tell what is in it.
  Result<Ring> get(std::uint32_t pool);
  // Builds the ring beside the present one and swaps it in; leaves an equal one alone. When it
  // returns, no packet is using the old ring any more (the kernel waits for them).
  Result<void> put(std::uint32_t pool, const Ring& ring);
  Result<void> erase(std::uint32_t pool);

 private:
  struct Known {
    std::uint32_t map_id = 0;
    Ring ring;
  };
  kernel::ArrayMap<std::uint32_t> pool_rings_;  // written as descriptors, read as map ids
  std::map<std::uint32_t, Known> known_;        // by pool
};

}  // namespace sluice::dataplane
