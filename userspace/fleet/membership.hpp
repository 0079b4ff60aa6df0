// Membership: this node as one of a fleet. It ties controller, writer, roster and presence
// together.
#pragma once

#include <functional>
#include <list>
#include <string>

#include "control/controller.hpp"
#include "control/fleet.hpp"
#include "fleet/cluster_writer.hpp"
#include "fleet/presence.hpp"
#include "fleet/roster.hpp"

namespace sluice::fleet {

class Membership final : public control::Fleet {
 public:
  struct Settings {
    Keys keys;
    std::string node, instance, version;
    bool accept_older_state = false;
  };
  // Gets a line for the log.
  using Event = std::function<void(Tone, const std::string&)>;

  Membership(Etcd& etcd, store::Writer& copy, const store::Contents& contents, Settings settings,
             Event event);

  // The writer to start the controller with.
  store::Writer& writer() { return writer_; }
  // Begins to follow the fleet, with a controller that was started with writer(). It must outlive
  // this, or nothing may be called any more. `announcing`: what this node announces to routers.
  void start(control::Controller& controller, std::function<control::Announcing()> announcing);
  // Tells the other nodes how this one is.
  void show();

  control::FleetState state() const override;
  control::Elsewhere elsewhere(const Uuid& object) const override;
  void restore(std::function<void(Result<void>)> done) override {
    writer_.restore(std::move(done));
  }
  void remove_node(const std::string& name, std::function<void(Result<void>)> done) override;

 private:
  // An answer that waits for other nodes.
  struct Waiting {
    std::uint64_t generation;
    std::function<void()> go_on;
  };
  void wait_for_others(std::uint64_t generation, std::function<void()> go_on);
  void answer_those_that_may();
  void standing_changed();

  Etcd& etcd_;
  Settings settings_;
  Event event_;
  ClusterWriter writer_;
  Roster roster_;
  Presence presence_;
  control::Controller* controller_ = nullptr;
  std::function<control::Announcing()> announcing_ = [] { return control::Announcing{}; };
  std::list<Waiting> waiting_;
};

}  // namespace sluice::fleet
