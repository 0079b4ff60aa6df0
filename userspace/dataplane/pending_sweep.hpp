// PendingSweep: removes the connections of `proxy_pending` (maps/proxy.h) that nobody has used for
// long: what the data plane has left by mistake.
//
// It goes through the map in steps of microseconds. A BPF program can only go through a whole hash
// map, which takes 12 ms when it is full.
#pragma once

#include <cstdint>

#include "kernel/map.hpp"
#include "maps/proxy.h"

namespace sluice::dataplane {

class PendingSweep {
 public:
  // It is `now` in jiffies, of which a second has `hz`.
  PendingSweep(int map, std::uint32_t now, std::uint32_t hz)
      : map_(map, "proxy_pending"), now_(now), hz_(hz) {}

  // Goes through the next entries. Returns false after the last ones.
  Result<bool> proceed();

 private:
  bool is_unused(const sluice_proxy_pending& entry) const;
  Result<void> forget(const sluice_proxy_key& client) const;

  kernel::Map<sluice_proxy_key, sluice_proxy_pending> map_;
  kernel::RawMap::Cursor cursor_;
  std::uint32_t now_, hz_;
};

}  // namespace sluice::dataplane
