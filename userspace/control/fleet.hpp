// Fleet: what a node knows of the others that have the same desired state, as the API shows it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/uuid.hpp"
#include "control/data_plane.hpp"
#include "model/objects.hpp"

namespace sluice::control {

// What a node announces to routers.
struct Announcing {
  // LOCAL (VIPs are not announced to routers), ANNOUNCING, JOINING (it has just started, and waits
  // before it announces what it doesn't yet), DRAINING, DRAINED, or WITHDRAWN (for another reason,
  // which is told); empty: an older version doesn't say.
  std::string state = "LOCAL";
  std::string reason;              // why no VIP is announced, or none is added; empty: they are
  std::size_t ipv4 = 0, ipv6 = 0;  // VIPs

  bool operator==(const Announcing&) const = default;
};

// A live node, as it says itself.
struct NodeState {
  std::string name;
  std::string version;
  bool is_this = false;
  Announcing announcing = {};
  std::uint64_t applied = 0;  // the generation up to which its maps were read back
  std::size_t errors = 0;     // objects that its data plane refused
};

// How an object is at the other nodes.
struct Elsewhere {
  bool pending = false;  // a live node has not applied its last change
  std::string error;     // "lb2: members: map is full"; empty: none
};

// What a node counts: connections of all its listeners, and the counters of those that were asked
// for.
struct NodeCounts {
  std::uint64_t connections = 0;
  std::map<Uuid, Counters> listeners;
  bool operator==(const NodeCounts&) const = default;
};

struct FleetCounts {
  std::map<std::string, NodeCounts> nodes;  // by name, without this one
  std::vector<std::string>
      missing;  // have not answered; what they last told is in `nodes` none the less
};

// How a member is for one node.
struct HealthOpinion {
  std::string node;
  std::optional<model::Health> health;  // nullopt: not probed yet
};

struct FleetState {
  std::string name;   // the prefix of its keys
  std::string state;  // FOLLOWING, CONNECTING, CUT_OFF or REFUSED
  std::string reason;
  std::uint64_t generation = 0;
  std::string probe = "every";         // or "spread": which members this node probes
  std::vector<NodeState> nodes;        // by name
  std::vector<std::string> gone = {};  // nodes that have been here and do not renew their entries
  // The number of the peers' key, and what its exchange waits for: "3", "2, until lb2 has 3";
  // empty: it isn't etcd's.
  std::string peer_key = {};
};

class Fleet {
 public:
  virtual ~Fleet() = default;

  virtual FleetState state() const = 0;
  virtual Elsewhere elsewhere(const Uuid& object) const = 0;
  // ErrorKind::conflict if a live node's version does not know what the change needs.
  virtual Result<void> permits(const model::Model& before, const model::Model& after) const = 0;
  // The health of members by majority of the live nodes; this node's own while it doesn't know
  // theirs. Valid until the next event of the loop.
  virtual const model::HealthTable& health() const = 0;
  // What each live node has found, by name; those of older versions don't tell.
  virtual std::vector<HealthOpinion> opinions(const Uuid& member) const = 0;
  // Asks the other live nodes what they count, which takes a second at most. `connections`: also
  // the sum of all their connections.
  virtual void count(std::set<Uuid> listeners, bool connections,
                     std::function<void(FleetCounts)> done) = 0;
  // Makes this node's state that of the fleet, in place of what etcd has, if that is older, another
  // fleet's, or nothing.
  virtual void restore(std::function<void(Result<void>)> done) = 0;
  // Forgets a node that is gone; ErrorKind::conflict if it lives.
  virtual void remove_node(const std::string& name, std::function<void(Result<void>)> done) = 0;
  // Begins to exchange the key by which nodes seal what they tell each other of connections.
  // ErrorKind::conflict: the last exchange is not over, or the key is in a file.
  virtual void rotate_peer_key(std::function<void(Result<void>)> done) = 0;
};

}  // namespace sluice::control
