// Fleet: what a node knows of the others that have the same desired state, as the API shows it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/uuid.hpp"

namespace sluice::control {

// One node, as it says itself. Only live ones are known: who does not renew its entry is gone.
struct NodeState {
  std::string name;
  std::string version;
  bool is_this = false;
  std::uint64_t applied = 0;  // the generation up to which its maps were read back
  std::size_t errors = 0;     // objects that its data plane refused
};

// How an object is at the other nodes.
struct Elsewhere {
  bool pending = false;  // a live node has not applied its last change
  std::string error;     // "lb2: members: map is full"; empty: none
};

struct FleetState {
  std::string name;   // the prefix of its keys
  std::string state;  // FOLLOWING, CONNECTING, CUT_OFF or REFUSED
  std::string reason;
  std::uint64_t generation = 0;
  std::vector<NodeState> nodes;  // by name
};

class Fleet {
 public:
  virtual ~Fleet() = default;

  virtual FleetState state() const = 0;
  virtual Elsewhere elsewhere(const Uuid& object) const = 0;
  // Makes this node's state that of the fleet, in place of what etcd has, if that is older, another
  // fleet's, or nothing.
  virtual void restore(std::function<void(Result<void>)> done) = 0;
};

}  // namespace sluice::control
