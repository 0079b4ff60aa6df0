// Adoption: the program set that is pinned, or a freshly loaded and pinned one.
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
