#include "health/suspicion.hpp"

#include <utility>

namespace sluice::health {
namespace {

constexpr int quiet_seconds = 10;

}  // namespace

bool Suspicion::accuse(bool many, Time now) {
  if (!open_ && cleared_ && now < *cleared_ + quiet_seconds * second_) return false;
  keeps_away_ = keeps_away_ || many;
  return !std::exchange(open_, true);
}

void Suspicion::hear(ProbeResult::Verdict verdict, bool still_up, Time now) {
  if (!open_) return;
  const bool failed = verdict == ProbeResult::Verdict::failed;
  open_ = keeps_away_ = failed && still_up;
  if (!failed) cleared_ = now;
}

std::optional<Suspicion::Time> Suspicion::next_probe(Time now) const {
  return open_ ? std::optional(now + second_) : std::nullopt;
}

}  // namespace sluice::health
