// Controller: owns the desired state and keeps store and data plane equal to it.
//
// Single-threaded: every call comes from the event loop's thread. A change is validated on a copy,
// committed to the store, applied to the data plane and read back, and only then ACTIVE; if
// applying fails the objects that were pending become ERROR with the reason, and the next change or
// drift check tries again.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "control/data_plane.hpp"
#include "control/provisioning.hpp"
#include "control/reconciler.hpp"
#include "model/networks.hpp"
#include "model/objects.hpp"
#include "model/status.hpp"
#include "store/store.hpp"

namespace sluice::control {

// What a test makes of applying, to see the states that are over in milliseconds otherwise.
enum class Hook {
  none,
  hold,  // changes are stored and stay PENDING_*
  fail,  // applying fails: what is pending becomes ERROR
};

class Controller {
 public:
  // Loads the stored state and brings the data plane (whatever it holds from an earlier run) in
  // line with it. Fails only when the store does; a data plane that refuses leaves objects in
  // ERROR.
  static Result<Controller> start(store::Store& store, DataPlane& data_plane);

  // What addresses are taken from; empty until the daemon has declared them.
  const model::Networks& networks() const { return networks_; }
  void set_networks(model::Networks networks) { networks_ = std::move(networks); }

  const model::Model& model() const { return model_; }
  const model::HealthTable& health() const { return health_; }
  // Asks the data plane about every listener that has a connection_limit.
  model::FullListeners full_listeners();
  DataPlane& data_plane() { return *data_plane_; }

  // Runs `edit` on a copy of the model. An error from it, or from the store, changes nothing and is
  // returned. Success means stored; whether the data plane took it stands in the objects'
  // provisioning status.
  using Edit = std::function<Result<void>(model::Model&)>;
  Result<void> change(const Edit& edit);

  // Makes all calls of change() within `changes` one change: they see each other's effect in
  // model(), and what they lead to is committed and applied at the end, or, after an error or in a
  // rehearsal, never was.
  enum class Ending { commit, rehearse };
  Result<void> transaction(const std::function<Result<void>()>& changes,
                           Ending ending = Ending::commit);

  // The probed state of these members changed: stored and applied together. Unknown members and
  // those that are not probed (model::probed) are ignored. change() forgets the health of members
  // that are no longer probed.
  void set_health(const model::HealthTable& changes);

  // From now on new connections are kept away from these (reconciler.hpp). Not stored: after a
  // restart nobody is suspected.
  void set_suspects(Suspects suspects);
  const Suspects& suspects() const { return suspects_; }

  // Compares the maps with the desired state and repairs them; returns one line per repair for the
  // log.
  Result<std::vector<std::string>> repair_drift();

  // For tests: asked before each attempt to apply. When it lets go, repair_drift() catches up.
  void set_hook(std::function<Hook()> hook) { hook_ = std::move(hook); }

  // Called after every change that went through (model or health), in order of registration.
  void on_change(std::function<void()> observer);

  // Called with one line per event that an operator wants in the log: an object became ERROR, or
  // ACTIVE again, the store failed. Lines from start() are kept for the first listener.
  void on_event(std::function<void(const std::string&)> listener);

 private:
  Controller(store::Store& store, DataPlane& data_plane);

  Result<void> permit(const model::Model& next) const;

  enum class Verify { read_back, trust };
  Attempt bring_in_line(Verify verify);
  void settle(const Attempt& attempt);
  void prune_health();
  void notify();
  void event(std::string line);

  store::Store* store_;
  DataPlane* data_plane_;
  model::Networks networks_;
  model::Model model_;
  model::HealthTable health_;
  Suspects suspects_;
  bool staging_ = false;  // within a transaction: model_ is what it has led to so far
  std::optional<DataPlaneState> actual_;  // as far as we know; unset: to be read
  std::vector<std::function<void()>> observers_;
  std::vector<std::function<void(const std::string&)>> listeners_;
  std::vector<std::string> unheard_;
  std::function<Hook()> hook_ = [] { return Hook::none; };
};

}  // namespace sluice::control
