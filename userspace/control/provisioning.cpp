#include "control/provisioning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "control/settlement.hpp"
#include "model/changes.hpp"
#include "model/names.hpp"

namespace sluice::control {
namespace {

using model::ProvisioningStatus;
using Reasons = std::map<Uuid, std::string>;  // by object id

bool is_settled(const model::Object& object) {
  return object.provisioning_status == ProvisioningStatus::active;
}
bool is_pending(const model::Object& object) {
  return !is_settled(object) && object.provisioning_status != ProvisioningStatus::error;
}

// Finds the objects that an operation's entry belongs to, from the entry up to the load balancer.
// Empty: the objects are gone.
struct Owners {
  const model::Model& model;
  const DataPlaneState& actual;

  using Ids = std::vector<Uuid>;

  Ids operator()(const PutVip& o) const { return of_address(o.address, o.entry.load_balancer); }
  Ids operator()(const RemoveVip& o) const {
    const auto entry = actual.vips.find(o.address);
    return entry == actual.vips.end() ? Ids{} : of_address(o.address, entry->second.load_balancer);
  }
  Ids operator()(const PutListener& o) const { return of_listener(o.entry.listener); }
  Ids operator()(const RemoveListener& o) const {
    const auto entry = actual.listeners.find(o.key);
    return entry == actual.listeners.end() ? Ids{} : of_listener(entry->second.listener);
  }
  Ids operator()(const PutPool& o) const { return of_pool(o.key.id); }
  Ids operator()(const RemovePool& o) const { return of_pool(o.key.id); }
  Ids operator()(const PutMember& o) const { return of_member(o.id); }
  Ids operator()(const RemoveMember& o) const { return of_member(o.id); }

  Ids of_address(const IpAddress& address, const Uuid& load_balancer) const {
    if (!model.load_balancers.contains(load_balancer)) return {};
    Ids ids{load_balancer};
    for (const auto* floating_ip :
         model.floating_ips.with(model::Facet::address, model::subject(address))) {
      if (floating_ip->address == address) ids.push_back(floating_ip->id);
    }
    return ids;
  }
  Ids of_listener(const Uuid& id) const {
    const auto listener = model.listeners.find(id);
    return listener == model.listeners.end() ? Ids{} : Ids{id, listener->second.load_balancer_id};
  }
  Ids of_pool(const Uuid& id) const {
    const auto pool = model.pools.find(id);
    return pool == model.pools.end() ? Ids{} : Ids{id, pool->second.load_balancer_id};
  }
  Ids of_member(const Uuid& id) const {
    const auto member = model.members.find(id);
    if (member == model.members.end()) return {};
    auto ids = of_pool(member->second.pool_id);
    ids.push_back(id);
    return ids;
  }
};

// An object keeps its first reason, because later ones mostly follow from it.
Reasons reasons_of(const model::Model& model, const std::vector<Refusal>& refusals,
                   const DataPlaneState& actual) {
  Reasons reasons;
  for (const auto& [operation, error] : refusals) {
    const auto reason = subject(operation) + ": " + error.text();
    const auto owners = std::visit(Owners{model, actual}, operation);
    for (const auto& id : owners) reasons.emplace(id, reason);
    if (!owners.empty()) continue;
    for (const auto* load_balancer : model.load_balancers.with(model::Facet::unsettled)) {
      if (is_pending(*load_balancer)) reasons.emplace(load_balancer->id, reason);
    }
  }
  return reasons;
}

Reasons all_pending(const model::Model& model, const Error& error) {
  Reasons reasons;
  model::for_each_kind(model, [&](const auto& table) {
    for (const auto* object : table.with(model::Facet::unsettled)) {
      if (is_pending(*object)) reasons.emplace(object->id, "read the data plane: " + error.text());
    }
  });
  return reasons;
}

// Only load balancers lock their tree.
void note_failure(model::LoadBalancer& object, bool change_failed) {
  object.change_failed = change_failed;
}
void note_failure(model::Object&, bool) {}

std::string title(std::string_view kind, const model::Object& object) {
  if (object.name.empty()) return fmt::format("{} {}", kind, to_string(object.id));
  return fmt::format("{} {} ({})", kind, object.name, to_string(object.id));
}

// Writes the attempt's outcome into objects. Its functions tell whether the object is another one
// now.
struct Settling {
  const Attempt& attempt;
  const std::optional<model::Timestamp> now;
  std::vector<std::string>& lines;
  bool& any_news;

  template <typename T>
  bool refuse(T& object, const std::string& reason) {
    const bool news = object.provisioning_status != ProvisioningStatus::error ||
                      object.provisioning_error != reason;
    if (is_pending(object)) {
      note_failure(object, !attempt.unreadable || attempt.counts_as_refused);
      if (now) object.updated_at = now;
    }
    any_news = any_news || news;
    object.provisioning_status = ProvisioningStatus::error;
    object.provisioning_error = reason;
    if (news) lines.push_back(title(kind_of(object), object) + " is ERROR: " + reason);
    return news;
  }

  // The data plane holds it, or nobody knows.
  template <typename T>
  bool accept(T& object) {
    if (attempt.unreadable) return false;
    if (is_pending(object) && attempt.unfinished.contains(object.id)) return false;
    if (!is_pending(object)) lines.push_back(title(kind_of(object), object) + " is ACTIVE again");
    object.provisioning_status = ProvisioningStatus::active;
    object.provisioning_error.clear();
    if (now) object.updated_at = now;
    note_failure(object, false);
    return any_news = true;
  }
};

}  // namespace

Settlement::Settlement(const model::Model& model, Attempt attempt, const DataPlaneState& actual,
                       std::optional<model::Timestamp> now)
    : attempt_(std::move(attempt)), now_(now), at_first_(model) {
  reasons_ = attempt_.unreadable ? all_pending(model, *attempt_.unreadable)
                                 : reasons_of(model, attempt_.refusals, actual);
  reasons_.insert(attempt_.impossible.begin(), attempt_.impossible.end());
  for (const auto& [id, reason] : reasons_) refused_.push_back(id);
}

// Settles an object of this kind, if it is one that still exists.
template <typename T>
void Settlement::settle(model::Table<T>& table, const Uuid& id) {
  const auto* present = table.lookup(id);
  if (!present) return;
  Settling settling{attempt_, now_, lines_, changed_};
  auto object = *present;
  const auto reason = reasons_.find(id);
  const bool another =
      reason != reasons_.end() ? settling.refuse(object, reason->second) : settling.accept(object);
  if (another) table.put(std::move(object));
}

// Settles objects of one kind, at most so many: those that were refused, which may have been
// ACTIVE, and those that were not ACTIVE. Returns how many.
template <typename T>
std::size_t Settlement::settle_some(model::Table<T>& table, const model::Table<T>& at_first,
                                    Progress& progress, std::size_t most) {
  std::size_t count = 0;
  for (; progress.refused < refused_.size() && count < most; ++count)
    settle(table, refused_[progress.refused++]);
  const auto unsettled = at_first.in_order(model::Facet::unsettled);
  for (; progress.unsettled < unsettled.size() && count < most; ++count)
    settle(table, unsettled[progress.unsettled++].id);
  return count;
}

bool Settlement::step(model::Model& model) {
  constexpr std::size_t at_once = 32;
  std::size_t count = 0;
  auto progress = progress_.begin();
  model::for_each_kind(model, at_first_, [&](auto& table, const auto& at_first) {
    count += settle_some(table, at_first, *progress++, at_once - count);
  });
  return count < at_once;
}

std::vector<std::string> settle_provisioning(model::Model& model, const Attempt& attempt,
                                             const DataPlaneState& actual,
                                             std::optional<model::Timestamp> now, bool* changed) {
  Settlement settlement(model, attempt, actual, now);
  while (!settlement.step(model)) continue;
  if (changed) *changed = settlement.has_changed();
  return settlement.take_lines();
}

bool any_unsettled(const model::Model& model) {
  bool any = false;
  model::for_each_kind(model, [&](const auto& table) {
    any = any || table.first(model::Facet::unsettled) != nullptr;
  });
  return any;
}

}  // namespace sluice::control
