// Adoption: opens the programs and maps that are pinned, or loads and pins new ones.
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "kernel/pins.hpp"
#include "kernel/program.hpp"

namespace sluice::kernel {

struct Adopted {
  Program program;
  bool loaded = false;  // false: it was pinned already
};
Result<Adopted> adopt_or_load(const PinDirectory& pins, std::uint32_t flows);

}  // namespace sluice::kernel
