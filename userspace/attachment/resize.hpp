// Resize: replaces the flow tables by others of another size under live traffic, without losing a
// connection or a packet (bpf/move.h says how).
//
// The new tables are pinned beside the old ones before the first program that knows both runs. So a
// run that was killed can be continued: flows may be in either pair, but only programs that look
// into both run.
//
// The caller holds the lock for changes (kernel/pin_lock.hpp).
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "kernel/pins.hpp"
#include "kernel/program.hpp"

namespace sluice::attachment {

struct Resized {
  std::uint32_t flows_before = 0;
  std::uint64_t moved = 0;  // connections
};
// Gives the pinned data plane `pinned` tables for so many IPv4 connections. ErrorKind::conflict if
// it has more connections than that; then everything stays as before.
Result<Resized> resize(const kernel::PinDirectory& pins, const kernel::Program& pinned,
                       std::uint32_t flows);
// Finishes a resize that was interrupted; no-op when there is none.
Result<void> finish_resize(const kernel::PinDirectory& pins);

}  // namespace sluice::attachment
