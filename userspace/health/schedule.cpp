#include "health/schedule.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::health {
namespace {

// The two functions use different ends of the id, so members with near first probes have unrelated
// second gaps.
Milliseconds part_of(Milliseconds range, const std::uint8_t* id_bytes) {
  std::uint32_t random = 0;
  std::memcpy(&random, id_bytes, sizeof random);
  return Milliseconds(range.count() * random / (std::uint64_t{1} << 32));
}

}  // namespace

Milliseconds first_wait(const Uuid& member, Milliseconds delay, Milliseconds limit) {
  return part_of(std::min(delay, limit), member.data);
}

Milliseconds second_gap(const Uuid& member, Milliseconds delay) {
  return delay - part_of(delay / 2, member.data + sizeof member.data - sizeof(std::uint32_t));
}

}  // namespace sluice::health
