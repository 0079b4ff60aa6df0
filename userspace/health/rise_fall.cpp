#include "health/rise_fall.hpp"

#include <algorithm>

namespace sluice::health {

RiseFall::RiseFall(std::uint32_t rise, std::uint32_t fall, std::optional<model::Health> known)
    : rise_(std::max(rise, 1U)), fall_(std::max(fall, 1U)), state_(known) {}

std::optional<model::Health> RiseFall::record(bool success) {
  const auto seen = success ? model::Health::up : model::Health::down;
  if (state_ == seen) {
    run_ = 0;
    return std::nullopt;
  }
  const auto needed = !state_ ? 1U : success ? rise_ : fall_;
  if (++run_ < needed) return std::nullopt;
  run_ = 0;
  state_ = seen;
  return state_;
}

}  // namespace sluice::health
