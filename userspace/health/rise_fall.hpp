// RiseFall: turns single probe results into a member's state. Pure; no clock, no I/O.
//
// A member that is down comes up after `rise` successes in a row, one that is up goes down after
// `fall` failures in a row; a result that agrees with the state ends the opposing run. The first
// result of a member with unknown state decides at once: until then it is OFFLINE to the operator,
// and making a healthy new member wait `rise` x delay (or sending clients to a dead one for `fall`
// x delay) would help nobody.
#pragma once

#include <cstdint>
#include <optional>

#include "model/objects.hpp"

namespace sluice::health {

class RiseFall {
 public:
  // `rise` and `fall` of 0 count as 1.
  RiseFall(std::uint32_t rise, std::uint32_t fall, std::optional<model::Health> known);

  // Takes the next result; returns the new state when it changed.
  std::optional<model::Health> record(bool success);

  std::optional<model::Health> state() const { return state_; }

 private:
  std::uint32_t rise_;
  std::uint32_t fall_;
  std::optional<model::Health> state_;
  std::uint32_t run_ = 0;  // results in a row that contradict state_
};

}  // namespace sluice::health
