// Rings: `pool_rings`, the array of inner maps that name the member of a pool's next connection.
//
// Reading an inner map back takes CAP_SYS_ADMIN (the kernel opens maps by id for nobody else). A
// daemon that has dropped it recognises the rings that it wrote or read before by their ids, which
// the kernel never reuses soon.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "kernel/map.hpp"

namespace sluice::dataplane {

using Ring = std::vector<std::uint32_t>;  // indices into `members`; without the length element

class Rings {
 public:
  explicit Rings(const kernel::Program& program) : pool_rings_(program, "pool_rings") {}

  // The ring; empty if the pool has none or it can't be read.
  Result<Ring> get(std::uint32_t pool);
  // The same for many pools: first what the map says of all that are less than `end`, with one
  // system call, and then each ring.
  using MapIds = std::map<std::uint32_t, std::uint32_t>;  // by pool
  Result<MapIds> map_ids(std::uint32_t end) const;
  Result<Ring> get(std::uint32_t pool, const MapIds& ids);
  // Builds the ring beside the present one and swaps it in; an equal one is left alone. Afterwards
  // no packet uses the old ring any more (the kernel waits for them).
  Result<void> put(std::uint32_t pool, const Ring& ring);
  // Writes the rings of pools that had none, many with one system call. No packet uses an old ring,
  // so nothing has to wait for packets, which is what put() spends most of its time on.
  Result<void> put_first(std::span<const std::pair<std::uint32_t, Ring>> rings);
  // Gives up the ring of a pool that nobody names any more. The kernel waits for packets whenever
  // rings go, so some go together later: a few small ones stay until then.
  Result<void> erase(std::uint32_t pool);

 private:
  Result<Ring> ring_of(std::uint32_t pool, std::uint32_t map_id);
  using Numbered = std::pair<std::uint32_t, Ring>;
  Result<void> put_some_first(std::span<const Numbered> rings);
  // Exchanges the rings that were given up for an empty one.
  Result<void> erase_given_up();
  // Tells whether the pool has this ring; false also if nobody wrote or read it before.
  bool holds(std::uint32_t pool, const Ring& ring) const;

  struct Known {
    std::uint32_t map_id = 0;
    Ring ring;
  };
  kernel::ArrayMap<std::uint32_t> pool_rings_;  // written as descriptors, read as map ids
  std::map<std::uint32_t, Known> known_;        // by pool
  std::set<std::uint32_t> given_up_;            // pools without a ring, in whose place one still is
  std::size_t given_up_slots_ = 0;
};

}  // namespace sluice::dataplane
