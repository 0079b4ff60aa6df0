// A fleet of two nodes, as the first one knows it: the other one is behind by a change, of which
// its data plane has refused an object. Tests set what they need otherwise.
#pragma once

#include "control/fleet.hpp"

namespace sluice::test {

class FakeFleet : public control::Fleet {
 public:
  control::FleetState now{.name = "/sluice/",
                          .state = "FOLLOWING",
                          .reason = "",
                          .generation = 7,
                          .nodes = {{.name = "lb1", .version = "1", .is_this = true, .applied = 7},
                                    {.name = "lb2", .version = "1", .applied = 6, .errors = 1}}};
  control::Elsewhere there;
  Result<void> restored;  // the outcome of restore()
  Result<void> removed;   // the outcome of remove_node()
  model::HealthTable judged;
  std::vector<control::HealthOpinion> found;  // of each member
  control::FleetCounts counts;                // of the others
  std::set<Uuid> asked;                       // the listeners of the last count()
  std::vector<std::string> removed_nodes;

  control::FleetState state() const override { return now; }
  control::Elsewhere elsewhere(const Uuid&) const override { return there; }
  Result<void> permitted;  // the outcome of permits()
  Result<void> permits(const model::Model&, const model::Model&) const override {
    return permitted;
  }
  const model::HealthTable& health() const override { return judged; }
  std::vector<control::HealthOpinion> opinions(const Uuid&) const override { return found; }
  void count(std::set<Uuid> listeners, bool,
             std::function<void(control::FleetCounts)> done) override {
    asked = std::move(listeners);
    done(counts);
  }
  void restore(std::function<void(Result<void>)> done) override { done(restored); }
  Result<void> rotated;  // the outcome of rotate_peer_key()
  void rotate_peer_key(std::function<void(Result<void>)> done) override { done(rotated); }
  void remove_node(const std::string& name, std::function<void(Result<void>)> done) override {
    removed_nodes.push_back(name);
    done(removed);
  }
};

}  // namespace sluice::test
