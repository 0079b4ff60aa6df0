// Membership: this node as one of a fleet. It ties controller, writer, roster and presence
// together.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/controller.hpp"
#include "control/fleet.hpp"
#include "fleet/cluster_writer.hpp"
#include "fleet/features.hpp"
#include "fleet/health_views.hpp"
#include "fleet/inquiry.hpp"
#include "fleet/peer_keys.hpp"
#include "fleet/presence.hpp"
#include "fleet/roster.hpp"
#include "fleet/snat_claims.hpp"
#include "fleet/standby_group.hpp"

namespace sluice::fleet {

class Membership final : public control::Fleet {
 public:
  struct Settings {
    Keys keys;
    std::string node, instance, version;
    std::string peer = {};  // where this node hears of others' connections; empty: nowhere
    bool accept_older_state = false;
    bool spread = false;  // this node leaves members to other nodes that do so, too
    // The nodes of one link of which one answers for the VIPs; empty: this node always does.
    std::string standby_group = {};
    bool was_active = false;                     // in that group, before this process
    std::vector<IpAddress> snat_addresses = {};  // that this node should have
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
  // What is called in the standby group; before start(), and only if this node is in one.
  void on_standby(StandbyGroup::Callbacks callbacks) { standby_ = std::move(callbacks); }
  // The nodes seal what they tell each other of connections with keys from etcd, of which this is
  // the node's copy. Before start(). `changed` and `event` are the membership's own.
  void use_peer_keys(std::string copy, PeerKeys::Callbacks callbacks);
  // Whether this node answers for the VIPs of its link.
  bool is_active() const { return !group_ || group_->is_active(); }

  // Calls back when the live nodes, or what they say, may be others than before, and once at the
  // beginning.
  void on_nodes_change(std::function<void()> changed);
  // Says whether another live node announces the VIPs of this load balancer and has usable members
  // for it.
  bool is_served_elsewhere(const model::LoadBalancer& object) const;
  const Roster& roster() const { return roster_; }
  // Says whether what is known of the other nodes is up to date.
  bool is_following() const { return writer_.standing() == Standing::following; }
  // Whose SNAT addresses are whose.
  const SnatClaims& snat_claims() const { return snat_claims_; }
  const std::string& node() const { return settings_.node; }
  // Says whether this node probes the member. Others may become its own when the live nodes change.
  bool probes(const Uuid& member) const;
  void on_share_change(std::function<void()> changed) { when_shares_change_ = std::move(changed); }
  // What this node lacks of the fleet's state, in words; empty: it has read it, and its maps hold
  // it.
  std::string lacks() const;

  control::FleetState state() const override;
  control::Elsewhere elsewhere(const Uuid& object) const override;
  Result<void> permits(const model::Model& before, const model::Model& after) const override;
  const model::HealthTable& health() const override;
  std::vector<control::HealthOpinion> opinions(const Uuid& member) const override;
  void count(std::set<Uuid> listeners, bool connections,
             std::function<void(control::FleetCounts)> done) override;
  void restore(std::function<void(Result<void>)> done) override {
    writer_.restore(std::move(done));
  }
  void remove_node(const std::string& name, std::function<void(Result<void>)> done) override;
  void rotate_peer_key(std::function<void(Result<void>)> done) override;

 private:
  // An answer that waits for other nodes.
  struct Waiting {
    std::uint64_t generation;
    std::function<void()> go_on;
  };
  void start_group();
  control::Announcing announcing() const;
  void wait_for_others(std::uint64_t generation, std::function<void()> go_on);
  void answer_those_that_may();
  void standing_changed();
  void nodes_read(std::int64_t revision, const std::vector<KeyValue>& all);
  void nodes_changed(const std::vector<Change>& changes);
  std::set<std::string> other_nodes() const;
  std::vector<const HealthView*> other_views() const;
  control::NodeCounts count_here(const Question& question) const;
  void tell_health_soon();
  std::vector<std::string> voters(const Uuid& member) const;
  std::size_t votes_that_it_is_down(const Uuid& member,
                                    const std::vector<std::string>& voters) const;
  model::HealthTable judgement_of_voters() const;
  void take_over_health_soon();
  void take_over_health();
  void nodes_may_be_others();
  void look_at_peer_keys();

  Etcd& etcd_;
  Settings settings_;
  Event event_;
  ClusterWriter writer_;
  Roster roster_;
  HealthViews views_;
  Features features_;
  Presence presence_;
  Inquiry inquiry_;
  SnatClaims snat_claims_;
  std::optional<StandbyGroup> group_;
  std::optional<PeerKeys> peer_keys_;  // none: this node has them from a file, or no peers
  StandbyGroup::Callbacks standby_;
  bool health_is_due_ = false;                                // it will be told soon
  bool taking_over_ = false;                                  // others' health, soon
  std::set<std::string> spreading_;                           // the live nodes that share members
  mutable std::map<Uuid, std::vector<std::string>> probers_;  // of these, as far as was asked
  std::function<void()> when_shares_change_ = [] {};
  // The judgement on `judged_from_` and the others' views.
  mutable model::HealthTable judged_, judged_from_;
  mutable bool is_judged_ = false;
  control::Controller* controller_ = nullptr;
  std::function<control::Announcing()> announcing_ = [] { return control::Announcing{}; };
  std::list<Waiting> waiting_;
  std::vector<std::function<void()>> when_nodes_change_;
};

}  // namespace sluice::fleet
