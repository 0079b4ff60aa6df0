// Reconciler: pure functions from desired model and health to the maps' desired state, and from
// there to the smallest list of operations.
#pragma once

#include <set>
#include <vector>

#include "control/data_plane.hpp"
#include "control/node_snat.hpp"
#include "control/slow_start.hpp"
#include "model/objects.hpp"

namespace sluice::control {

// Members that count as up, but get no new connections as long as their pool has others.
using Suspects = std::set<Uuid>;

// Members whose time to drain is over, so that their connections are ended.
using Overdue = std::set<Uuid>;

// Members whose EXTERNAL check asks for less than their weight: for so many percent of it. With 0
// they get no new connections.
using Reduced = std::map<Uuid, std::uint32_t>;
inline constexpr std::uint32_t whole_weight = 100;
inline const Reduced nobody_reduced;

// What the desired state depends on beside the model: the state of the members, whether another
// node answers for the VIPs, and the SNAT addresses of nodes.
struct Knowledge {
  const model::HealthTable& health;
  const Suspects& suspects;
  const Overdue& overdue;
  const Starting& starting;
  bool standby = false;
  const Reduced& reduced = nobody_reduced;
  const NodeSnat& node_snat = no_node_snat;
};

// Objects of a model from which entries of the data plane come: from a load balancer its addresses,
// from a listener one entry per address, from a pool its rings and its members.
struct Sources {
  std::set<Uuid> load_balancers, listeners, pools;
};

// The keys of entries of a data plane.
struct EntryKeys {
  std::set<IpAddress> vips;
  std::set<ListenerKey> listeners;
  std::set<PoolKey> pools;
  std::set<Uuid> members;
};

// Says whether members of the pool can serve clients of the other IP version, so that the entries
// of its listeners and of their VIPs depend on it.
bool may_serve_other_version(const model::Model& model, const model::Pool& pool);
// Returns the part of desired_state() that comes from these objects; unknown ids are skipped.
DataPlaneState desired_state(const model::Model& model, const Knowledge& known,
                             const Sources& sources);
// Returns the keys of all entries that may come from these objects, whether they do now or not.
EntryKeys keys_of(const model::Model& model, const Sources& sources);

// The desired state of the data plane. It has no disabled listeners and pools, and a disabled load
// balancer's VIPs are down. Rings have the usable members only, or backups if no other is usable.
DataPlaneState desired_state(const model::Model& model, const model::HealthTable& health,
                             const Suspects& suspects = {}, const Overdue& overdue = {},
                             bool standby = false, const Starting& starting = {},
                             const Reduced& reduced = nobody_reduced,
                             const NodeSnat& node_snat = no_node_snat);

// Operations that turn `actual` into `desired`, in an order that never exposes a half-built state:
// members before the rings that name them, pools before listeners, listeners before VIPs; removal
// goes in reverse. A member is flagged usable before it enters a ring, and loses the flag after it
// has left. A SNAT address that its load balancer or its node lacks now is not removed but marked
// as leaving.
std::vector<Operation> diff(const DataPlaneState& desired, const DataPlaneState& actual);

// The same for two states that come in parts, each of them with the same keys on both sides. The
// addresses of a load balancer come in one part, because its VIPs decide on its SNAT addresses.
class Difference {
 public:
  void add(const DataPlaneState& desired, const DataPlaneState& actual);
  // Returns the operations of all parts in their order.
  std::vector<Operation> take();

 private:
  using Operations = std::vector<Operation>;
  Operations vips_away_, snat_in_, members_in_, pools_in_, listeners_in_, vips_up_;
  Operations listeners_out_, pools_out_, members_out_, snat_out_;
};

// Operations by which the SNAT addresses of load balancers that are leaving are answered for here,
// or by the node whose standby this one is. No desired state has them.
std::vector<Operation> for_leaving(const DataPlaneState& actual, bool standby);

}  // namespace sluice::control
