#include "control/slow_start.hpp"

#include <algorithm>
#include <set>

#include "model/status.hpp"

namespace sluice::control {
namespace {

using Duration = SlowStart::Time::duration;

bool serves(const model::Model& model, const model::HealthTable& health, const Uuid& id) {
  const auto* member = model.members.lookup(id);
  return member && member->weight > 0 && model::usable(health, *member);
}

// Says whether the member is there, in a pool whose members start slowly.
bool starts_slowly(const model::Model& model, const Uuid& id) {
  const auto* member = model.members.lookup(id);
  return member && model.pools.at(member->pool_id).slow_start_seconds.value_or(0) > 0;
}

// Returns the time of one step of the member's pool; zero: members don't start slowly there.
Duration step_of(const model::Model& model, const Uuid& member) {
  const auto& pool = model.pools.at(model.members.at(member).pool_id);
  return Duration(std::chrono::seconds(pool.slow_start_seconds.value_or(0))) / full_share;
}

// Returns the last step at this time or before.
SlowStart::Time last_step(SlowStart::Time time, Duration step) {
  return time - time.time_since_epoch() % step;
}

}  // namespace

// Finds the members that serve now and did not before, and those that no longer do.
void SlowStart::note_changes(const model::Model& model, const model::HealthTable& health,
                             Time now) {
  std::set<Uuid> changed;
  const auto add = [&](const Uuid& id, const auto*, const auto*) {
    changed.insert(id);
    return true;
  };
  model::Table<model::Member>::for_each_difference(model_.members, model.members, add);
  model::HealthTable::for_each_difference(health_, health, add);
  for (const auto& id : changed) {
    if (!starts_slowly(model, id) || !serves(model, health, id)) {
      began_.erase(id);
    } else if (followed_ && !serves(model_, health_, id)) {
      began_[id] = now;
    }
  }
  model_ = model;
  health_ = health;
  followed_ = true;
}

void SlowStart::follow(const model::Model& model, const model::HealthTable& health, Time now) {
  note_changes(model, health, now);
  shares_.clear();
  full_at_.clear();
  next_.reset();
  for (auto one = began_.begin(); one != began_.end();) {
    const auto& [id, began] = *one;
    const auto step = step_of(model, id);
    const auto steps =
        step == step.zero() ? full_share : (last_step(now, step) - last_step(began, step)) / step;
    if (steps >= full_share) {
      one = began_.erase(one);
      continue;
    }
    shares_[id] = std::max<std::uint32_t>(static_cast<std::uint32_t>(steps), 1);
    full_at_[id] = last_step(began, step) + full_share * step;
    const auto following = last_step(now, step) + step;
    next_ = next_ ? std::min(*next_, following) : following;
    ++one;
  }
}

std::optional<SlowStart::Time> SlowStart::next() const {
  return next_;
}

std::optional<SlowStart::Time> SlowStart::full_at(const Uuid& member) const {
  const auto found = full_at_.find(member);
  return found == full_at_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace sluice::control
