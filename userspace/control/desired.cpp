#include "control/desired.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "model/vips.hpp"

namespace sluice::control {
namespace {

using model::Facet;
using model::Model;

// Adds the ids of objects that have the facet in either model.
template <typename T>
void add_all(std::set<Uuid>& ids, model::Table<T> Model::*table, const Model& before,
             const Model& after, Facet facet, const Uuid& subject) {
  for (const auto* model : {&before, &after}) {
    (model->*table).walk(facet, subject, [&](const T& object) {
      ids.insert(object.id);
      return true;
    });
  }
}

// Says whether the data plane may have to know of a change: not if only the object's status, its
// name or the like is another one. Each change is followed by one of the status.
template <typename T>
bool concerns_packets(const T* old, const T* now) {
  if (!old || !now) return true;
  if (old->admin_state_up != now->admin_state_up || old->created_at != now->created_at) return true;
  auto like_now = *old;
  static_cast<model::Object&>(like_now) = *now;
  return like_now != *now;
}

template <typename Map, typename Set>
void copy_part(Map& part, const Map& all, const Set& keys) {
  for (const auto& key : keys) {
    const auto found = all.find(key);
    if (found != all.end()) part.emplace_hint(part.end(), *found);
  }
}

// Removes those of `keys` that are not in `part` and belong to the objects whose part it is, and
// puts the part in. An entry that has gone over to another object is that one's.
template <typename Map, typename Set, typename IsOwn>
void replace_part(Map& all, Set& keys, Map&& part, IsOwn is_own) {
  for (const auto& key : keys) {
    if (part.contains(key)) continue;
    const auto found = all.find(key);
    if (found != all.end() && is_own(*found)) all.erase(found);
  }
  for (auto& [key, entry] : part) {
    keys.insert(key);
    all.insert_or_assign(key, std::move(entry));
  }
}

// Moves at most so many from one set to the other.
void move_some(std::set<Uuid>& from, std::set<Uuid>& to, std::size_t most) {
  for (; most > 0 && !from.empty(); --most) to.insert(from.extract(from.begin()));
}

bool is_empty(const Sources& sources) {
  return sources.load_balancers.empty() && sources.listeners.empty() && sources.pools.empty();
}

void add_differences(std::set<Uuid>& ids, const Starting& before, const Starting& after) {
  std::vector<Starting::value_type> different;
  std::ranges::set_symmetric_difference(before, after, std::back_inserter(different));
  for (const auto& [id, share] : different) ids.insert(id);
}

void add_differences(std::set<Uuid>& ids, const std::set<Uuid>& before,
                     const std::set<Uuid>& after) {
  std::ranges::set_symmetric_difference(before, after, std::inserter(ids, ids.end()));
}

}  // namespace

TouchedSources::TouchedSources(const Model& before, const Model& after, std::set<Uuid> members)
    : before_(before),
      after_(after),
      load_balancers_(before.load_balancers, after.load_balancers),
      floating_ips_(before.floating_ips, after.floating_ips),
      pools_(before.pools, after.pools),
      members_(before.members, after.members),
      listeners_(before.listeners, after.listeners),
      known_members_(std::move(members)) {}

bool TouchedSources::step(Sources& sources, std::size_t most) {
  return next_load_balancers(sources, most) && next_floating_ips(sources, most) &&
         next_pools(sources, most) && next_members(sources, most) &&
         next_listeners(sources, most) && next_known_members(sources, most);
}

// Most changes of a load balancer are those of its status. With one that is new or gone its
// listeners and pools are, too, so they are found among these.
bool TouchedSources::next_load_balancers(Sources& sources, std::size_t most) {
  return load_balancers_.step(
      most, [&](const Uuid& id, const model::LoadBalancer* old, const model::LoadBalancer* now) {
        ++looked_at_;
        if (!old || !now) {
          sources.load_balancers.insert(id);
          return;
        }
        if (model::own_addresses(*old) != model::own_addresses(*now)) {
          add_all(sources.pools, &Model::pools, before_, after_, Facet::parent, id);
        } else if (old->admin_state_up == now->admin_state_up &&
                   old->on_unmatched == now->on_unmatched) {
          return;
        }
        touch_addresses(sources, id);
      });
}

bool TouchedSources::next_floating_ips(Sources& sources, std::size_t most) {
  return floating_ips_.step(
      most, [&](const Uuid&, const model::FloatingIp* old, const model::FloatingIp* now) {
        ++looked_at_;
        for (const auto* one : {old, now}) {
          if (one && one->load_balancer_id) touch_addresses(sources, *one->load_balancer_id);
        }
      });
}

// A pool without entries is none to its listeners. Those of one that is new or gone are others,
// too.
bool TouchedSources::next_pools(Sources& sources, std::size_t most) {
  return pools_.step(most, [&](const Uuid& id, const model::Pool* old, const model::Pool* now) {
    ++looked_at_;
    if (!concerns_packets(old, now)) return;
    touch_pool(sources, id);
    if (!old || !now || old->admin_state_up == now->admin_state_up) return;
    add_all(sources.listeners, &Model::listeners, before_, after_, Facet::default_pool, id);
  });
}

bool TouchedSources::next_members(Sources& sources, std::size_t most) {
  return members_.step(most, [&](const Uuid&, const model::Member* old, const model::Member* now) {
    ++looked_at_;
    if (!concerns_packets(old, now)) return;
    for (const auto* one : {old, now}) {
      if (one) touch_pool(sources, one->pool_id);
    }
  });
}

bool TouchedSources::next_listeners(Sources& sources, std::size_t most) {
  return listeners_.step(
      most, [&](const Uuid& id, const model::Listener* old, const model::Listener* now) {
        ++looked_at_;
        if (concerns_packets(old, now)) sources.listeners.insert(id);
      });
}

bool TouchedSources::next_known_members(Sources& sources, std::size_t most) {
  for (; most > 0 && !known_members_.empty(); --most) {
    const auto id = known_members_.extract(known_members_.begin());
    if (const auto* member = after_.members.lookup(id.value()))
      touch_pool(sources, member->pool_id);
  }
  return known_members_.empty();
}

// Its addresses, their state, and with them all that its listeners are entered under.
void TouchedSources::touch_addresses(Sources& sources, const Uuid& owner) const {
  sources.load_balancers.insert(owner);
  add_all(sources.listeners, &Model::listeners, before_, after_, Facet::parent, owner);
}

// Members of the other IP version than a VIP's change the entries of listeners and VIPs, too.
void TouchedSources::touch_pool(Sources& sources, const Uuid& id) const {
  if (!sources.pools.insert(id).second) return;
  for (const auto* model : {&before_, &after_}) {
    const auto* pool = model->pools.lookup(id);
    if (pool && may_serve_other_version(*model, *pool))
      touch_addresses(sources, pool->load_balancer_id);
  }
}

DataPlaneState part_of(const DataPlaneState& state, const EntryKeys& keys) {
  DataPlaneState part;
  copy_part(part.vips, state.vips, keys.vips);
  copy_part(part.listeners, state.listeners, keys.listeners);
  copy_part(part.pools, state.pools, keys.pools);
  copy_part(part.members, state.members, keys.members);
  return part;
}

namespace {

void add_keys(EntryKeys& all, EntryKeys&& more) {
  all.vips.merge(more.vips);
  all.listeners.merge(more.listeners);
  all.pools.merge(more.pools);
  all.members.merge(more.members);
}

}  // namespace

EntryKeys Desired::follow(const Model& model, const Knowledge& known) {
  auto keys = follow_news(model, known);
  for (; !left_.empty(); left_.pop_front()) {
    find_all(left_.front());
    add_keys(keys, renew(left_.front(), known));
  }
  return keys;
}

EntryKeys Desired::follow_news(const Model& model, const Knowledge& known) {
  auto touched = news(model, known);
  find_all(touched);
  return renew(touched, known);
}

// Returns whether all are found.
bool Desired::find_some(Touched& touched, std::size_t most) {
  if (!touched.finding) return true;
  const auto before = touched.finding->looked_at();
  const bool done = touched.finding->step(touched.sources, most);
  looked_at_ += touched.finding->looked_at() - before;
  if (done) touched.finding.reset();
  return done;
}

void Desired::find_all(Touched& touched) {
  while (!find_some(touched)) continue;
}

void Desired::note(const Model& model, const Knowledge& known) {
  left_.push_back(news(model, known));
}

EntryKeys Desired::step(const Knowledge& known, std::size_t most) {
  if (left_.empty()) return {};
  auto& next = left_.front();
  if (next.finding) {
    find_some(next, most);
    return {};
  }
  Touched some{next.before, {}, {}, std::exchange(next.of_nodes, {})};
  move_some(next.sources.load_balancers, some.sources.load_balancers, most);
  move_some(next.sources.listeners, some.sources.listeners, most);
  move_some(next.sources.pools, some.sources.pools, most);
  if (is_empty(next.sources)) left_.pop_front();
  return renew(some, known);
}

// Computes the entries of the objects.
EntryKeys Desired::renew(const Touched& touched, const Knowledge& known) {
  const auto& [before, finding, sources, of_nodes] = touched;
  auto keys = keys_of(before, sources);
  keys.vips.insert(of_nodes.begin(), of_nodes.end());
  auto part = desired_state(model_, known, sources);
  replace_part(state_.vips, keys.vips, std::move(part.vips), [&](const auto& vip) {
    const auto& owner = vip.second.load_balancer;
    return owner.is_nil() ? of_nodes.contains(vip.first) : sources.load_balancers.contains(owner);
  });
  replace_part(state_.listeners, keys.listeners, std::move(part.listeners),
               [&](const auto& one) { return sources.listeners.contains(one.second.listener); });
  const auto always = [](const auto&) { return true; };
  replace_part(state_.pools, keys.pools, std::move(part.pools), always);
  replace_part(state_.members, keys.members, std::move(part.members), always);
  return keys;
}

// Begins to find the objects that changed since the last call, and takes the model and what is
// known over.
Desired::Touched Desired::news(const Model& model, const Knowledge& known) {
  std::set<Uuid> members;
  model::HealthTable::for_each_difference(
      health_, known.health, [&](const Uuid& id, const model::Health*, const model::Health*) {
        members.insert(id);
        return true;
      });
  add_differences(members, suspects_, known.suspects);
  add_differences(members, overdue_, known.overdue);
  add_differences(members, starting_, known.starting);
  add_differences(members, reduced_, known.reduced);

  Touched found{model_, TouchedSources(model_, model, std::move(members)), {}, {}};
  if (standby_ != known.standby) {
    for (const auto& [id, load_balancer] : model.load_balancers)
      found.sources.load_balancers.insert(id);
  }
  if (node_snat_.own != known.node_snat.own) {
    for (const auto& [id, listener] : model.listeners) found.sources.listeners.insert(id);
  }
  for (const auto& [address, of_node] : node_snat_.addresses) {
    const auto entry = state_.vips.find(address);
    if (entry != state_.vips.end() && entry->second.load_balancer.is_nil())
      found.of_nodes.insert(address);
  }
  model_ = model;
  health_ = known.health;
  suspects_ = known.suspects;
  overdue_ = known.overdue;
  starting_ = known.starting;
  reduced_ = known.reduced;
  standby_ = known.standby;
  node_snat_ = known.node_snat;
  return found;
}

}  // namespace sluice::control
