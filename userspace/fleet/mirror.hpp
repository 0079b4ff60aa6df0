// Mirror: the fleet's desired state as it was in etcd at one revision, as a model. Pure.
//
// Each commit changes the key `generation` together with the objects. Provisioning status is not a
// part of the fleet's state: an object that has not changed keeps the status that it has here, and
// one that has is pending.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/persistent_map.hpp"
#include "base/result.hpp"
#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"
#include "model/changes.hpp"
#include "model/objects.hpp"

namespace sluice::fleet {

// KIND in the keys of objects.
template <typename T>
constexpr std::string_view kind_word();
template <>
constexpr std::string_view kind_word<model::LoadBalancer>() {
  return "loadbalancer";
}
template <>
constexpr std::string_view kind_word<model::Listener>() {
  return "listener";
}
template <>
constexpr std::string_view kind_word<model::Pool>() {
  return "pool";
}
template <>
constexpr std::string_view kind_word<model::Member>() {
  return "member";
}
template <>
constexpr std::string_view kind_word<model::HealthMonitor>() {
  return "healthmonitor";
}
template <>
constexpr std::string_view kind_word<model::FloatingIp>() {
  return "floatingip";
}

// The value of the key `generation`. No two commits write the same one.
struct Head {
  Uuid store{};
  std::uint64_t generation = 0;
  Uuid request{};
  std::string node;

  std::string text() const;
  static std::optional<Head> parse(const std::string& text);
  bool operator==(const Head&) const = default;
};

// Finds the value of `generation` among the keys; an error: it can't be understood.
Result<std::optional<Head>> head_in(const std::vector<KeyValue>& all, const Keys& keys);

class Mirror {
 public:
  // `model`: what this node has had before, with the status of each object.
  Mirror(Keys keys, model::Model model) : keys_(std::move(keys)), model_(std::move(model)) {}

  const model::Model& model() const { return model_; }
  const std::optional<Head>& head() const { return head_; }
  std::int64_t revision() const { return revision_; }
  // The generation in which the object was changed last; 0: not known.
  std::uint64_t generation_of(const Uuid& object) const;

  // Takes the place of all that was there. If it can't be understood, nothing changes.
  Result<void> reset(std::int64_t revision, const std::vector<KeyValue>& all);
  // Takes the changes of one revision, unless they are known already.
  Result<void> follow(std::int64_t revision, const std::vector<Change>& changes);

  // What must be written and removed for these changes; without what concerns this node only.
  struct Operations {
    std::vector<Put> puts;
    std::vector<std::string> removals;

    bool empty() const { return puts.empty() && removals.empty(); }
  };
  Operations operations(const model::Changes& changes, std::uint64_t generation) const;
  // Takes changes of this node, which were committed with this head at this revision.
  void take_own(const model::Changes& changes, Head head, std::int64_t revision);
  // Takes the status that objects have at this node, if they are the same otherwise.
  void take_status(const model::Changes& changes);

 private:
  using Generations = PersistentMap<Uuid, std::uint64_t>;
  struct State {
    model::Model model;
    std::optional<Head> head;
    Generations generations;
    std::map<Uuid, boost::json::object> strange;  // attributes that this version does not know
  };
  Result<void> put(State& state, const std::string& key, const std::string& value) const;
  void remove(State& state, const std::string& key) const;
  Result<void> take(State state, std::int64_t revision);
  State state() const { return {model_, head_, generations_, strange_}; }

  Keys keys_;
  model::Model model_;
  std::optional<Head> head_;
  Generations generations_;
  std::map<Uuid, boost::json::object> strange_;
  std::int64_t revision_ = 0;
};

}  // namespace sluice::fleet
