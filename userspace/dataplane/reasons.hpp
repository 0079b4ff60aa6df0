// The operator's side of maps/reasons.h: label, verdict and sentence of every packet's fate.
#pragma once

#include <array>
#include <string_view>

#include "maps/reasons.h"

namespace sluice::dataplane {

struct Reason {
  std::string_view label;     // "no_listener"
  std::string_view verdict;   // "forward", "answer", "pass" or "drop"
  std::string_view sentence;  // what it means
};

// By enum sluice_reason.
extern const std::array<Reason, SLUICE_REASON_COUNT> reasons;

}  // namespace sluice::dataplane
