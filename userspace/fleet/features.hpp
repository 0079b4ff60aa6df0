// Features: what a version knows of the objects' attributes, so that nothing is stored that an
// older node of the fleet could not read or would not do. Pure.
//
// Each node writes its list under a key of its own. The list follows from the columns of the store,
// so a new attribute or word is in it without anybody's thinking of it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"
#include "model/changes.hpp"

namespace sluice::fleet {

// What this version knows, as a key's value:
// {"loadbalancer": {"name": null, "on_unmatched": ["drop", "reset"], ...}, ...}; null: any value.
std::string known_features();

// The first attribute of the changed objects that a version with this list does not know, with its
// value if only that is new: "announce", "forwarding_mode gre"; empty: none. A new attribute that
// has its default value changes nothing, so it is none. A list that can't be read knows everything.
std::string lacking(const std::string& known, const model::Changes& changes);

// The lists of the live nodes.
class Features {
 public:
  explicit Features(Keys keys) : keys_(std::move(keys)) {}

  void reset(std::int64_t revision, const std::vector<KeyValue>& all);
  void follow(const std::vector<Change>& changes);

  // "lb2: announce"; empty: all of these nodes know what the changes need. Those of versions
  // without a list are not asked.
  std::string lacking_at(const std::set<std::string>& nodes, const model::Changes& changes) const;

 private:
  Keys keys_;
  std::int64_t revision_ = 0;  // of the last reading
  std::string own_ = known_features();
  std::map<std::string, std::string> others_;  // by node: lists that are not like ours
};

}  // namespace sluice::fleet
