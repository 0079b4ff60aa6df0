// Reasons: label, verdict and sentence of each reason in maps/reasons.h, for operators.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.hpp"
#include "kernel/program.hpp"
#include "maps/reasons.h"

namespace sluice::dataplane {

struct Reason {
  std::string_view label;     // "no_listener"
  std::string_view verdict;   // "forward", "answer", "pass" or "drop"
  std::string_view sentence;  // what it means
};

// By enum sluice_reason.
extern const std::array<Reason, SLUICE_REASON_COUNT> reasons;

// The number of packets with this reason on all CPUs.
Result<std::uint64_t> packets_of_reason(const kernel::Program& program, std::uint32_t reason);

// Resets the reason's counter.
Result<void> forget_reason(const kernel::Program& program, std::uint32_t reason);

}  // namespace sluice::dataplane
