// Schedule: when a member is probed. Probes start `delay` apart, spread so that members don't fire
// together. Pure.
//
// The spread comes from the member's id, so it is the same in every run and on every node. The
// first probe starts within a second, so that a new member is soon known; the gap to the second is
// shortened by up to half a delay, so that 10,000 members that were created together don't meet
// again every `delay`. From then on the gap is `delay`.
#pragma once

#include <chrono>

#include "base/uuid.hpp"

namespace sluice::health {

using Milliseconds = std::chrono::milliseconds;

// The time from the start of probing to the first probe: 0 .. min(delay, limit).
Milliseconds first_wait(const Uuid& member, Milliseconds delay, Milliseconds limit);

// The time from the start of the first probe to that of the second: delay/2 .. delay.
Milliseconds second_gap(const Uuid& member, Milliseconds delay);

}  // namespace sluice::health
