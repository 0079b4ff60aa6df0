// PassingTime: lets time pass for the data plane. Nobody can move its clock, so all that was
// stamped is made older instead, by whole ticks; a tick is eight seconds, and its sixteenths are
// half seconds.
//
// What it knows of: when packets of flows came, when a listener's SYNs were first seen, fragments,
// persistence, rates per source. The clocks of SYN authentication and of pending PROXY headers
// stand still.
#pragma once

#include <cstdint>

#include "kernel/map.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"

namespace sluice::test {

// LoadOptions::jiffies_per_second, with which a tick is 2^20 jiffies. The kernel has at most 1,000
// a second, so a sixteenth lasts a minute or more: longer than what is played between two looks.
inline constexpr std::uint32_t passing_clock = 1U << 17;

class PassingTime {
 public:
  explicit PassingTime(const kernel::Program& program) : program_(program) {}

  // Returns the present time in sixteenths of a tick, modulo 2^20.
  Result<std::uint32_t> now() const;
  Result<void> pass(std::uint32_t ticks) const;

 private:
  Result<void> age_flows(std::uint32_t ticks, std::uint32_t now) const;
  Result<void> age_handshakes(std::uint32_t ticks) const;
  const kernel::Program& program_;
};

}  // namespace sluice::test
