// Carrier: has one program read its connections as images, and another one put them into its
// tables.
#pragma once

#include <cstdint>

#include "base/result.hpp"

namespace sluice::attachment {

struct Carried {
  std::uint64_t connections = 0;  // that were put
  std::uint64_t left = 0;         // that were not
};
// Carries the connections of both IP versions over. Precondition: no more of them begin where they
// are read, and packets look where they are put first, then where they are read.
Result<Carried> carry_connections(int walk_program, int put_program);

// Fails if the connections that `walk_program` reads can't be carried by this build.
Result<void> require_carriable(int walk_program);

}  // namespace sluice::attachment
