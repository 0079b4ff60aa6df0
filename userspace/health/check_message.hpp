// Check message: what the daemon and the helper that runs checks tell each other, one datagram each
// on a socket pair. Both are the same program, so the layout needs no version.
#pragma once

#include <netinet/in.h>

#include <cstdint>

#include "health/check_answer.hpp"
#include "model/limits.hpp"

namespace sluice::health {

// From the daemon. It can name checks and members only: the helper, which may do more than the
// daemon, has read the programs' paths before there was an API.
struct CheckRequest {
  enum class Kind : std::uint32_t { start, stop };
  Kind kind;
  std::uint32_t
      seconds;  // that it may take; the daemon stops it then, and a while later the helper
  std::uint64_t id;
  std::uint16_t port;
  char check[model::max_check_name_length + 1];  // ends with 0
  char address[INET6_ADDRSTRLEN];                // ends with 0
};

// From the helper.
struct CheckReply {
  enum class Kind : std::uint32_t {
    anew,     // an earlier helper died; what it ran is over
    ended,    // `status` is waitpid()'s, `text` the first output
    refused,  // not started, for the reason in `text`
    flooded,  // killed, because it wrote too much
  };
  Kind kind;
  std::int32_t status;
  std::uint64_t id;
  std::uint32_t length;  // of the text
  char text[kept_check_output];
};

}  // namespace sluice::health
