// Desired: the desired state, kept in step with a model that changes a little at a time.
//
// Every entry of the desired state comes from one object (reconciler.hpp). So after a change only
// the entries of the objects that it touches are computed again, and its cost doesn't depend on how
// much there is. The state is always equal to desired_state() of the same model; a test compares
// the two over random changes.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <set>

#include "control/reconciler.hpp"

namespace sluice::control {

// Finds the objects whose entries may differ between two models, or because something else is known
// of some members now. It keeps the two models as they were.
class TouchedSources {
 public:
  TouchedSources(const model::Model& before, const model::Model& after, std::set<Uuid> members);

  // Adds the next ones to `sources`: those of at most so many differences of a kind. Returns
  // whether there are no more.
  bool step(Sources& sources, std::size_t most);
  std::size_t looked_at() const { return looked_at_; }

 private:
  bool next_load_balancers(Sources& sources, std::size_t most);
  bool next_floating_ips(Sources& sources, std::size_t most);
  bool next_pools(Sources& sources, std::size_t most);
  bool next_members(Sources& sources, std::size_t most);
  bool next_listeners(Sources& sources, std::size_t most);
  bool next_known_members(Sources& sources, std::size_t most);
  void touch_addresses(Sources& sources, const Uuid& owner) const;
  void touch_pool(Sources& sources, const Uuid& id) const;

  const model::Model before_, after_;
  model::Table<model::LoadBalancer>::Differences load_balancers_;
  model::Table<model::FloatingIp>::Differences floating_ips_;
  model::Table<model::Pool>::Differences pools_;
  model::Table<model::Member>::Differences members_;
  model::Table<model::Listener>::Differences listeners_;
  std::set<Uuid> known_members_;  // of whom something else is known now
  std::size_t looked_at_ = 0;     // objects
};

// Returns the entries of a state that have one of the keys.
DataPlaneState part_of(const DataPlaneState& state, const EntryKeys& keys);

class Desired {
 public:
  const DataPlaneState& state() const { return state_; }

  // Makes state() equal to desired_state() of these. Returns the keys of all entries that changed,
  // and possibly of some that did not.
  EntryKeys follow(const model::Model& model, const Knowledge& known);

  // The same in steps. After note() the first steps find the objects that the change touches, and
  // each of the others computes the entries of some of them, by what is known then. Until no step
  // is left the entries of the other objects are what they were.
  void note(const model::Model& model, const Knowledge& known);
  static constexpr std::size_t objects_in_a_step = 32;  // of each kind
  EntryKeys step(const Knowledge& known, std::size_t most = objects_in_a_step);
  bool is_done() const { return left_.empty(); }
  // Objects that were looked at because they are others than before, for tests.
  std::size_t looked_at() const { return looked_at_; }

  // Follows only what has changed since the last call of any of these, and leaves the steps that
  // are left for later.
  EntryKeys follow_news(const model::Model& model, const Knowledge& known);

 private:
  // Objects whose entries are to be computed.
  struct Touched {
    model::Model before;                    // their entries come from this model
    std::optional<TouchedSources> finding;  // unset: all of them are found
    Sources sources;
    std::set<IpAddress> of_nodes;  // the SNAT addresses of nodes that had entries
  };
  Touched news(const model::Model& model, const Knowledge& known);
  bool find_some(Touched& touched, std::size_t most = objects_in_a_step);
  void find_all(Touched& touched);
  EntryKeys renew(const Touched& touched, const Knowledge& known);

  DataPlaneState state_;
  std::deque<Touched> left_;
  std::size_t looked_at_ = 0;
  // What state_ was computed from, or is about to be.
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
