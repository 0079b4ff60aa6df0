// Crossing: an upgrade from flow tables of another layout, under live traffic, without losing a
// connection (bpf/crossing.h says how).
//
// The new maps take the place of the pinned ones before the first program that uses them runs, and
// the former tables and programs are pinned beside them. So a run that was killed can be continued:
// until the last step the former program is asked about what isn't in the new tables.
//
// The caller holds the lock for changes (kernel/pin_lock.hpp).
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "kernel/pins.hpp"

namespace sluice::attachment {

// Says whether the pinned flow tables have another layout than this build's.
Result<bool> needs_crossing(const kernel::PinDirectory& pins);
// Replaces programs and flow tables by this build's; returns how many connections were carried.
// Before anything changes it fails where connections can't be carried, and says why.
// ErrorKind::conflict afterwards: some were not; they go on by the former program, and
// finish_crossing() tries again.
Result<std::uint64_t> cross(const kernel::PinDirectory& pins);

// Says whether a crossing was interrupted.
bool is_crossing(const kernel::PinDirectory& pins);
// Finishes one, or undoes it if nothing has changed yet.
Result<void> finish_crossing(const kernel::PinDirectory& pins);

}  // namespace sluice::attachment
