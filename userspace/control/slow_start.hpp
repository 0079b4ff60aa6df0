// SlowStart: how much of its weight a member that comes back, or is new, has at the moment.
//
// A member that did not take connections before gets a sixteenth of its share first, and another
// one each time that a sixteenth of its pool's slow_start is over. The steps of a pool's members
// fall together, so a pool has at most 16 new rings in that time however many members start.
//
// Those that serve when the first model is followed have their full share: a restart of the daemon
// starts nobody.
#pragma once

#include <chrono>
#include <map>
#include <optional>

#include "model/objects.hpp"

namespace sluice::control {

inline constexpr std::uint32_t full_share = 16;

// Members that are starting, with their present share in sixteenths of their weight.
using Starting = std::map<Uuid, std::uint32_t>;

class SlowStart {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Makes shares() those of this model, health and time.
  void follow(const model::Model& model, const model::HealthTable& health, Time now);

  const Starting& shares() const { return shares_; }

  // Returns when shares() will have changed by itself; nullopt: nobody is starting.
  std::optional<Time> next() const;

  // Returns when the member has its full share; nullopt: it has.
  std::optional<Time> full_at(const Uuid& member) const;

 private:
  void note_changes(const model::Model& model, const model::HealthTable& health, Time now);

  model::Model model_;
  model::HealthTable health_;
  bool followed_ = false;
  std::map<Uuid, Time> began_;
  Starting shares_;
  std::map<Uuid, Time> full_at_;
  std::optional<Time> next_;
};

}  // namespace sluice::control
