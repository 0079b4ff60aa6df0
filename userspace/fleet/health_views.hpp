// HealthViews: the health of members as each live node has probed it, and what the fleet makes of
// that. Pure.
//
// A node writes its view under a key of its own when it has changed, with the lease that its other
// keys have. So a view costs a write per change of health, nothing per probe, and is gone with its
// node. It names only the members that are not up, which are few.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/uuid.hpp"
#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"
#include "model/objects.hpp"

namespace sluice::fleet {

// One node's view of the members that it probes.
struct HealthView {
  std::set<Uuid> down;
  std::set<Uuid> unknown;  // not probed yet
  // The generation of the model whose members these are. Nodes that leave members to others tell
  // it, because what they don't name might be a member that they had not heard of. The others
  // don't, so that a change without another result costs no write.
  std::optional<std::uint64_t> applied = {};

  // Says whether the node has a result for a member that was last changed in this generation.
  bool knows(const Uuid& member, std::uint64_t generation) const;

  std::string text() const;
  static std::optional<HealthView> parse(const std::string& text);
  bool operator==(const HealthView&) const = default;
};

// The view of a node that has probed so far what `health` has.
HealthView view_of(const model::Model& model, const model::HealthTable& health);

class HealthViews {
 public:
  explicit HealthViews(Keys keys) : keys_(std::move(keys)) {}

  // All keys as of a revision, and changes since then.
  void reset(std::int64_t revision, const std::vector<KeyValue>& all);
  void follow(const std::vector<Change>& changes);

  // By node. A node of an older version has none.
  const std::map<std::string, HealthView>& all() const { return views_; }

 private:
  Keys keys_;
  std::int64_t revision_ = 0;  // of the last reading
  std::map<std::string, HealthView> views_;
};

// The fleet's judgement: a member is down if more than half of the nodes find it down. A member
// that this node alone, or a minority with it, finds down is up. `own` is this node's table,
// `others` are the views of the other live nodes.
model::HealthTable majority(const model::HealthTable& own,
                            const std::vector<const HealthView*>& others);

}  // namespace sluice::fleet
