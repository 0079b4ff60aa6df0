#include "dataplane/reasons.hpp"

#include <numeric>

#include "kernel/map.hpp"

namespace sluice::dataplane {
namespace {

constexpr std::string_view FORWARD = "forward", ANSWER = "answer", PASS = "pass", DROP = "drop";

}  // namespace

#define SLUICE_REASON_TEXT(name, verdict, label, sentence) Reason{label, verdict, sentence},
const std::array<Reason, SLUICE_REASON_COUNT> reasons = {SLUICE_REASONS(SLUICE_REASON_TEXT)};
#undef SLUICE_REASON_TEXT

namespace {

// The place of a reason's counter.
struct Place {
  kernel::CounterMap<std::uint64_t> counters;
  std::uint32_t index;
};

Place place_of(const kernel::Program& program, std::uint32_t reason) {
  if (reason < SLUICE_FIRST_REASONS) return {{program, "reason_counters"}, reason};
  return {{program, "later_reason_counters"}, reason - SLUICE_FIRST_REASONS};
}

}  // namespace

Result<std::uint64_t> packets_of_reason(const kernel::Program& program, std::uint32_t reason) {
  const auto place = place_of(program, reason);
  const auto cpus = place.counters.per_cpu(place.index);
  if (!cpus) return tl::unexpected(cpus.error());
  return std::accumulate(cpus->begin(), cpus->end(), std::uint64_t{0});
}

Result<void> forget_reason(const kernel::Program& program, std::uint32_t reason) {
  const auto place = place_of(program, reason);
  return place.counters.set_to_zero(place.index);
}

}  // namespace sluice::dataplane
