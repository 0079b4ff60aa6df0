// Monitor: probes members on the event loop and reports changes of state.
//
// A member's probes never overlap: the next one starts `delay` after the last one's start or, if
// that one took longer, at the next multiple of `delay`. rise_fall.hpp decides when states change,
// schedule.hpp when probes start, suspicion.hpp when they start sooner, and prober.hpp carries them
// out.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "health/vip_probes.hpp"
#include "model/objects.hpp"

namespace sluice::health {

// One member to probe. Equal targets are the same probe: updating the list leaves them running.
struct Target {
  Uuid member{};
  IpAddress address;       // monitor_address or address
  std::uint16_t port = 0;  // monitor_port or protocol_port, host byte order
  std::shared_ptr<const model::HealthMonitor> settings;  // one for all members of a pool
  bool proxied = false;                                  // of a PROXYV2 pool
  std::optional<VipWay> way;           // unset: the probe asks for the address itself
  std::optional<model::Health> known;  // state before the first result (from the store)
};

// The members that the model wants probed: enabled monitor, member and pool.
std::vector<Target> targets(const model::Model& model, const model::HealthTable& health);

// What a change of the model means for probing: of `members`, exactly `targets` are probed now.
// Other members are probed as before.
struct TargetChange {
  std::set<Uuid> members;
  std::vector<Target> targets;
};
TargetChange target_change(const model::Model& before, const model::Model& after,
                           const model::HealthTable& health);

class ExternalProber;

class Monitor {
 public:
  // A member's new state, and the reason of the last result ("connection refused", "HTTP 500,
  // expected 200", "timeout after 1 s") or of the suspicion.
  struct Change {
    Uuid member{};
    model::Health health{};
    bool suspected = false;  // up, but new connections should be kept away from it
    // Set if nothing else has changed: what its check asks for of its weight.
    std::optional<std::uint32_t> weight_percent = {};
    std::string reason;
  };
  // Is called on the executor: at once for the first change, and in a burst every 20 ms with all
  // that followed, so that a rack that loses power is one change to the data plane, not a thousand.
  using Report = std::function<void(const std::vector<Change>& changes)>;
  // Is called once per reason when this machine can't probe ("Too many open files"), which says
  // nothing about the member. It must not change the targets.
  using Trouble = std::function<void(const Uuid& member, const std::string& reason)>;
  // `second` is the length of a second of the settings; tests shorten it. `checks` carries out
  // EXTERNAL monitors, `vips` has probes ask for VIPs; both must outlive the Monitor; null: there
  // are none.
  Monitor(boost::asio::any_io_executor executor, Report report, Trouble trouble = {},
          std::chrono::milliseconds second = std::chrono::seconds(1),
          ExternalProber* checks = nullptr, VipProbes* vips = nullptr);
  ~Monitor();  // stops all probes; nothing is reported from then on
  Monitor(Monitor&&) noexcept = default;
  Monitor& operator=(Monitor&&) = delete;

  // Starts, stops and restarts probes so that exactly these run.
  void set_targets(std::vector<Target> targets);
  // Does the same for some members, after a change of the model.
  void change_targets(TargetChange change);

  // Notes that one new connection to the member failed, or many within a second, for this reason.
  // The member is probed at once, unless it is down or answered a moment ago.
  void suspect(const Uuid& member, bool many, const std::string& reason);
  // Members that new connections should be kept away from now.
  std::set<Uuid> suspects() const;
  // Members whose checks ask for less than their weight: for so many percent of it.
  std::map<Uuid, std::uint32_t> reduced() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::health
