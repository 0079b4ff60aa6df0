// Resize: flow tables of another size, under live traffic. No connection is lost, and no packet of
// one: bpf/move.h says how.
//
// The new tables are pinned beside the old ones before the first program that knows both runs. So
// whoever comes after a run that was killed can go on: flows may be in either pair then, and only
// programs that look into both run.
//
// The lock for changes (kernel/pin_lock.hpp) is held by the caller.
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
// Gives the pinned data plane, which `pinned` is, tables for so many IPv4 connections.
// ErrorKind::conflict when it has more of them than that; then everything is as before.
Result<Resized> resize(const kernel::PinDirectory& pins, const kernel::Program& pinned,
                       std::uint32_t flows);
// Goes on with a resize that was interrupted; no-op when there is none.
Result<void> finish_resize(const kernel::PinDirectory& pins);

}  // namespace sluice::attachment
