#include "control/desired.hpp"

#include <algorithm>
#include <iterator>

#include "model/vips.hpp"

namespace sluice::control {
namespace {

using model::Facet;
using model::Model;

template <typename T, typename Visit>
void for_each_changed(const model::Table<T>& before, const model::Table<T>& after, Visit visit) {
  model::Table<T>::for_each_difference(before, after,
                                       [&](const Uuid& id, const T* old, const T* now) {
                                         visit(id, old, now);
                                         return true;
                                       });
}

// Adds the ids of objects that have the facet in either model.
template <typename T>
void add_all(std::set<Uuid>& ids, model::Table<T> Model::*table, const Model& before,
             const Model& after, Facet facet, const Uuid& subject) {
  for (const auto* model : {&before, &after}) {
    for (const T* object : (model->*table).with(facet, subject)) ids.insert(object->id);
  }
}

// Its addresses, their state, and with them all that its listeners are entered under.
void touch_addresses(Sources& sources, const Model& before, const Model& after, const Uuid& owner) {
  sources.load_balancers.insert(owner);
  add_all(sources.listeners, &Model::listeners, before, after, Facet::parent, owner);
}

// Most changes of a load balancer are those of its status.
void touch_load_balancers(Sources& sources, const Model& before, const Model& after) {
  for_each_changed(
      before.load_balancers, after.load_balancers,
      [&](const Uuid& id, const model::LoadBalancer* old, const model::LoadBalancer* now) {
        const bool same_addresses =
            old && now && model::own_addresses(*old) == model::own_addresses(*now);
        if (!same_addresses) {
          add_all(sources.pools, &Model::pools, before, after, Facet::parent, id);
        } else if (old->admin_state_up == now->admin_state_up &&
                   old->on_unmatched == now->on_unmatched) {
          return;
        }
        touch_addresses(sources, before, after, id);
      });
  for_each_changed(before.floating_ips, after.floating_ips,
                   [&](const Uuid&, const model::FloatingIp* old, const model::FloatingIp* now) {
                     for (const auto* one : {old, now}) {
                       if (one && one->load_balancer_id) {
                         touch_addresses(sources, before, after, *one->load_balancer_id);
                       }
                     }
                   });
}

// Members of the other IP version than a VIP's change the entries of listeners and VIPs, too.
void touch_other_version(Sources& sources, const Model& before, const Model& after) {
  std::set<Uuid> owners;
  for (const auto& id : sources.pools) {
    for (const auto* model : {&before, &after}) {
      const auto* pool = model->pools.lookup(id);
      if (pool && may_serve_other_version(*model, *pool)) owners.insert(pool->load_balancer_id);
    }
  }
  for (const auto& owner : owners) touch_addresses(sources, before, after, owner);
}

// A pool without entries is none to its listeners.
void touch_pools(Sources& sources, const Model& before, const Model& after) {
  for_each_changed(before.pools, after.pools,
                   [&](const Uuid& id, const model::Pool* old, const model::Pool* now) {
                     sources.pools.insert(id);
                     const bool had_entries = old && old->admin_state_up;
                     const bool has_entries = now && now->admin_state_up;
                     if (had_entries == has_entries) return;
                     add_all(sources.listeners, &Model::listeners, before, after,
                             Facet::default_pool, id);
                   });
  for_each_changed(before.members, after.members,
                   [&](const Uuid&, const model::Member* old, const model::Member* now) {
                     for (const auto* one : {old, now}) {
                       if (one) sources.pools.insert(one->pool_id);
                     }
                   });
}

template <typename Map, typename Set>
void copy_part(Map& part, const Map& all, const Set& keys) {
  for (const auto& key : keys) {
    const auto found = all.find(key);
    if (found != all.end()) part.emplace_hint(part.end(), *found);
  }
}

// Removes those of `keys` that are not in `part`, and puts the part in.
template <typename Map, typename Set>
void replace_part(Map& all, Set& keys, Map&& part) {
  for (const auto& key : keys) {
    if (!part.contains(key)) all.erase(key);
  }
  for (auto& [key, entry] : part) {
    keys.insert(key);
    all.insert_or_assign(key, std::move(entry));
  }
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

Sources touched(const Model& before, const Model& after, const std::set<Uuid>& members) {
  Sources sources;
  touch_load_balancers(sources, before, after);
  touch_pools(sources, before, after);
  for_each_changed(before.listeners, after.listeners,
                   [&](const Uuid& id, const model::Listener*, const model::Listener*) {
                     sources.listeners.insert(id);
                   });
  for (const auto& id : members) {
    if (const auto* member = after.members.lookup(id)) sources.pools.insert(member->pool_id);
  }
  touch_other_version(sources, before, after);
  return sources;
}

DataPlaneState part_of(const DataPlaneState& state, const EntryKeys& keys) {
  DataPlaneState part;
  copy_part(part.vips, state.vips, keys.vips);
  copy_part(part.listeners, state.listeners, keys.listeners);
  copy_part(part.pools, state.pools, keys.pools);
  copy_part(part.members, state.members, keys.members);
  return part;
}

EntryKeys Desired::follow(const Model& model, const Knowledge& known) {
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

  auto sources = touched(model_, model, members);
  if (standby_ != known.standby) {
    for (const auto& [id, load_balancer] : model.load_balancers) sources.load_balancers.insert(id);
  }
  if (node_snat_.own != known.node_snat.own) {
    for (const auto& [id, listener] : model.listeners) sources.listeners.insert(id);
  }
  auto keys = keys_of(model_, sources);
  for (const auto& [address, of_node] : node_snat_.addresses) {
    const auto found = state_.vips.find(address);
    if (found != state_.vips.end() && found->second.load_balancer.is_nil())
      keys.vips.insert(address);
  }
  auto part = desired_state(model, known, sources);
  replace_part(state_.vips, keys.vips, std::move(part.vips));
  replace_part(state_.listeners, keys.listeners, std::move(part.listeners));
  replace_part(state_.pools, keys.pools, std::move(part.pools));
  replace_part(state_.members, keys.members, std::move(part.members));
  model_ = model;
  health_ = known.health;
  suspects_ = known.suspects;
  overdue_ = known.overdue;
  starting_ = known.starting;
  reduced_ = known.reduced;
  standby_ = known.standby;
  node_snat_ = known.node_snat;
  return keys;
}

}  // namespace sluice::control
