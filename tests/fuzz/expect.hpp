// What a fuzz target asserts: the process ends where it does not hold, which libFuzzer takes for a
// finding.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice::fuzz {

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace sluice::fuzz
