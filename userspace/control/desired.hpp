// Desired: the desired state, kept in step with a model that changes a little at a time.
//
// Every entry of the desired state comes from one object (reconciler.hpp). So after a change only
// the entries of the objects that it touches are computed again, and its cost doesn't depend on how
// much there is. The state is always equal to desired_state() of the same model; a test compares
// the two over random changes.
#pragma once

#include "control/reconciler.hpp"

namespace sluice::control {

// Returns the objects whose entries may differ between the two models, or because something else is
// known of `members` now.
Sources touched(const model::Model& before, const model::Model& after,
                const std::set<Uuid>& members);

// Returns the entries of a state that have one of the keys.
DataPlaneState part_of(const DataPlaneState& state, const EntryKeys& keys);

class Desired {
 public:
  const DataPlaneState& state() const { return state_; }

  // Makes state() equal to desired_state() of these. Returns the keys of all entries that changed,
  // and possibly of some that did not.
  EntryKeys follow(const model::Model& model, const Knowledge& known);

 private:
  DataPlaneState state_;
  // What state_ was computed from.
  model::Model model_;
  model::HealthTable health_;
  Suspects suspects_;
  Overdue overdue_;
  Starting starting_;
  Reduced reduced_;
  bool standby_ = false;
  NodeSnat node_snat_;
};

}  // namespace sluice::control
