#include "api/handlers/metric_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "api/handlers/label_text.hpp"
#include "api/language/fleet.hpp"
#include "model/names.hpp"
#include "model/relations.hpp"
#include "model/vips.hpp"

namespace sluice::api {
namespace {

using model::Facet;

// So many changes are looked at, or rows are made or copied, at once.
constexpr std::size_t found_in_a_step = 256, made_in_a_step = 256, copied_in_a_step = 4096;

// Labels have an object's name, which is easy to read, and its id, which is unique.
template <typename T>
std::string_view name_of(const model::Table<T>& objects, const Uuid& id) {
  const T* found = objects.lookup(id);
  return found ? std::string_view(found->name) : std::string_view();
}

// Say whether an object's labels, or what is counted of it, are others.

bool is_another(const model::Listener& old, const model::Listener& now) {
  return old.name != now.name || old.protocol != now.protocol ||
         old.protocol_port != now.protocol_port ||
         old.protocol_port_range != now.protocol_port_range;
}

bool is_another(const model::Member& old, const model::Member& now) {
  return old.name != now.name || old.address != now.address ||
         old.protocol_port != now.protocol_port;
}

bool counts_otherwise(const model::Member& old, const model::Member& now) {
  return old.admin_state_up != now.admin_state_up || (old.weight > 0) != (now.weight > 0);
}

}  // namespace

RowsRenewal::RowsRenewal(MetricRows before, const model::Model& model,
                         const model::HealthTable& health, const model::FullListeners& full,
                         const control::Fleet* fleet)
    : next_(std::move(before)),
      statuses_of_fleet_({}, fleet ? model.load_balancers : decltype(model.load_balancers)()),
      changed_load_balancers_(next_.model.load_balancers, model.load_balancers),
      changed_listeners_(next_.model.listeners, model.listeners),
      changed_pools_(next_.model.pools, model.pools),
      changed_members_(next_.model.members, model.members),
      changed_health_(next_.health, health),
      fleet_(fleet),
      fleet_health_(fleet ? fleet->health() : health) {
  next_.model = model;
  next_.health = health;
  const auto full_before = std::exchange(next_.full, full);
  std::set<Uuid> changed;
  std::ranges::set_symmetric_difference(full_before, full, std::inserter(changed, changed.end()));
  for (const auto& id : changed) {
    const auto* listener = model.listeners.lookup(id);
    if (listener) load_balancers_.touched.insert(listener->load_balancer_id);
  }
}

bool RowsRenewal::step() {
  static constexpr std::array finds = {
      &RowsRenewal::find_statuses_of_fleet, &RowsRenewal::find_load_balancers,
      &RowsRenewal::find_listeners,         &RowsRenewal::find_pools,
      &RowsRenewal::find_members,           &RowsRenewal::find_health};
  if (step_ < finds.size()) {
    if ((this->*finds[step_])()) ++step_;
    return false;
  }
  const bool done = merge_some(listeners_, next_.listeners, &RowsRenewal::listener_row) &&
                    merge_some(members_, next_.members, &RowsRenewal::member_row) &&
                    merge_some(pools_, next_.pools, &RowsRenewal::pool_row) &&
                    merge_some(load_balancers_, next_.load_balancers, &RowsRenewal::status_row);
  return done;
}

// What the other nodes do changes statuses without a change of the model.
bool RowsRenewal::find_statuses_of_fleet() {
  auto& all = load_balancers_.touched;
  return statuses_of_fleet_.step(found_in_a_step, [&](const Uuid& id, const auto*, const auto*) {
    all.emplace_hint(all.end(), id);
  });
}

// An object's row also has the names of those above it, so it is touched when these are renamed.
bool RowsRenewal::find_load_balancers() {
  return changed_load_balancers_.step(
      found_in_a_step,
      [&](const Uuid& id, const model::LoadBalancer* old, const model::LoadBalancer* now) {
        load_balancers_.touched.insert(id);
        if (!old || !now || old->name == now->name) return;
        for (const auto* listener : next_.model.listeners.with(Facet::parent, id))
          listeners_.touched.insert(listener->id);
        for (const auto* pool : next_.model.pools.with(Facet::parent, id)) {
          pools_.touched.insert(pool->id);
          for (const auto* member : next_.model.members.with(Facet::parent, pool->id))
            members_.touched.insert(member->id);
        }
      });
}

bool RowsRenewal::find_listeners() {
  return changed_listeners_.step(
      found_in_a_step, [&](const Uuid& id, const model::Listener* old, const model::Listener* now) {
        if (!old || !now || is_another(*old, *now)) listeners_.touched.insert(id);
        for (const auto* one : {old, now}) {
          if (!one) continue;
          load_balancers_.touched.insert(one->load_balancer_id);
          if (one->default_pool_id) pools_.touched.insert(*one->default_pool_id);
        }
      });
}

bool RowsRenewal::find_pools() {
  return changed_pools_.step(
      found_in_a_step, [&](const Uuid& id, const model::Pool* old, const model::Pool* now) {
        load_balancers_.touched.insert((now ? now : old)->load_balancer_id);
        if (old && now && old->name == now->name) return;
        pools_.touched.insert(id);
        if (!old || !now) return;
        for (const auto* member : next_.model.members.with(Facet::parent, id))
          members_.touched.insert(member->id);
      });
}

bool RowsRenewal::find_members() {
  return changed_members_.step(
      found_in_a_step, [&](const Uuid& id, const model::Member* old, const model::Member* now) {
        if (!old || !now || is_another(*old, *now)) members_.touched.insert(id);
        const auto& pool = (now ? now : old)->pool_id;
        if (!old || !now || counts_otherwise(*old, *now)) pools_.touched.insert(pool);
        touch_status_of_pool(pool);
      });
}

bool RowsRenewal::find_health() {
  return changed_health_.step(found_in_a_step,
                              [&](const Uuid& id, const model::Health*, const model::Health*) {
                                if (const auto* member = next_.model.members.lookup(id)) {
                                  pools_.touched.insert(member->pool_id);
                                  touch_status_of_pool(member->pool_id);
                                }
                              });
}

// A removed pool has touched its load balancer itself.
void RowsRenewal::touch_status_of_pool(const Uuid& pool) {
  const auto* found = next_.model.pools.lookup(pool);
  if (found) load_balancers_.touched.insert(found->load_balancer_id);
}

// Copies rows that are the same, and makes the touched ones. Without any the former rows stay.
template <typename Row>
bool RowsRenewal::merge_some(Merge<Row>& merge, Rows<Row>& rows,
                             std::optional<Row> (RowsRenewal::*row)(const Uuid&) const) {
  if (!merge.begun && merge.touched.empty()) return true;
  auto& merged = merge.merged;
  if (!std::exchange(merge.begun, true)) merged.reserve(rows->size() + merge.touched.size());
  for (std::size_t work = 0; work < copied_in_a_step;) {
    const bool any_left = merge.at < rows->size();
    if (!any_left && merge.touched.empty()) {
      rows = std::make_shared<const std::vector<Row>>(std::move(merged));
      merge = {};
      return true;
    }
    const auto first = merge.touched.begin();
    if (first == merge.touched.end() || (any_left && (*rows)[merge.at].id < *first)) {
      merged.push_back((*rows)[merge.at++]);
      ++work;
      continue;
    }
    if (any_left && (*rows)[merge.at].id == *first) ++merge.at;
    if (auto made = (this->*row)(*first)) merged.push_back(std::move(*made));
    ++next_.made;
    merge.touched.erase(first);
    work += copied_in_a_step / made_in_a_step;
  }
  return false;
}

std::optional<LabelRow> RowsRenewal::listener_row(const Uuid& id) const {
  const auto* listener = next_.model.listeners.lookup(id);
  if (!listener) return std::nullopt;
  return LabelRow{id, label_text({{"id", to_string(id)},
                                  {"listener", listener->name},
                                  {"load_balancer",
                                   name_of(next_.model.load_balancers, listener->load_balancer_id)},
                                  {"protocol", model::name(listener->protocol)},
                                  {"port", model::ports_text(*listener)}})};
}

std::optional<LabelRow> RowsRenewal::member_row(const Uuid& id) const {
  const auto* member = next_.model.members.lookup(id);
  if (!member) return std::nullopt;
  const auto* pool = next_.model.pools.lookup(member->pool_id);
  return LabelRow{
      id, label_text(
              {{"id", to_string(id)},
               {"member", member->name},
               {"pool", pool ? std::string_view(pool->name) : std::string_view()},
               {"load_balancer", pool ? name_of(next_.model.load_balancers, pool->load_balancer_id)
                                      : std::string_view()},
               {"address", member->address.to_string()},
               {"port", fmt::format_int(member->protocol_port).c_str()}})};
}

// A pool whose listeners find no usable member is what an operator wants to be woken for.
std::optional<PoolRow> RowsRenewal::pool_row(const Uuid& id) const {
  const auto* pool = next_.model.pools.lookup(id);
  if (!pool) return std::nullopt;
  PoolRow row{{id, label_text({{"id", to_string(id)},
                               {"pool", pool->name},
                               {"load_balancer",
                                name_of(next_.model.load_balancers, pool->load_balancer_id)}})}};
  row.listeners = next_.model.listeners.count(Facet::default_pool, id);
  for (const auto* member : next_.model.members.with(Facet::parent, id)) {
    row.members++;
    if (member->weight > 0 && model::usable(next_.health, *member)) row.usable++;
  }
  return row;
}

// The status is a label, because operators alert on the word.
std::optional<LabelRow> RowsRenewal::status_row(const Uuid& id) const {
  const auto* object = next_.model.load_balancers.lookup(id);
  if (!object) return std::nullopt;
  const auto operating =
      model::operating_status(model::Relations(next_.model), fleet_health_, *object, next_.full);
  return LabelRow{id, label_text({{"id", to_string(id)},
                                  {"load_balancer", object->name},
                                  {"vip", model::vips_text(*object)},
                                  {"operating_status", model::name(operating)},
                                  {"provisioning_status", provisioning(fleet_, *object).status}})};
}

}  // namespace sluice::api
