// The `listener_ranges` map: the ranges of ports of an address, each of which leads to its
// listener's entry in `listeners4` or `listeners6`, under its first port.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "control/data_plane.hpp"
#include "kernel/map.hpp"
#include "maps/listener.h"

namespace sluice::dataplane {

// The first port of the range that has this one, as the data plane finds it; nullopt: none has it.
std::optional<std::uint16_t> range_with(const sluice_ranges& ranges, std::uint16_t port);

class ListenerRanges {
 public:
  explicit ListenerRanges(const kernel::Program& program) : map_(program, "listener_ranges") {}

  // Makes the range from the key's port to `last_port` (0: none) the one that begins with this
  // port. A range is written before its listener's entry, and removed after it. ErrorKind::conflict
  // if the address has no room for another one.
  Result<void> set(const control::ListenerKey& key, std::uint32_t listener,
                   std::uint16_t last_port) const;
  // The last port of the listener's range that begins with the key's port; 0: there is none.
  Result<std::uint16_t> last_port(const control::ListenerKey& key, std::uint32_t listener) const;
  // All ranges, for callers that ask about many listeners.
  class All {
   public:
    std::uint16_t last_port(const control::ListenerKey& key, std::uint32_t listener) const;

   private:
    friend ListenerRanges;
    std::vector<std::pair<sluice_ranges_key, sluice_ranges>> entries_;  // sorted by their bytes
  };
  Result<All> all() const;
  // Removes ranges that lead to none of these listeners: a process may have ended between two
  // writes.
  using Entries = std::vector<std::pair<control::ListenerKey, sluice_listener>>;
  Result<void> remove_strangers(const Entries& listeners) const;

 private:
  Result<void> write(const sluice_ranges_key& key, const sluice_ranges& all) const;

  kernel::Map<sluice_ranges_key, sluice_ranges> map_;
};

}  // namespace sluice::dataplane
