#include "control/provisioning.hpp"

#include <fmt/format.h>

#include <map>

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

// Calls `visit` with every object of the model, whatever its kind.
template <typename Model, typename Visit>
void for_each_object(Model& model, Visit visit) {
  const auto each = [&](auto& objects) {
    for (auto& [id, object] : objects) visit(object);
  };
  each(model.load_balancers);
  each(model.listeners);
  each(model.pools);
  each(model.members);
  each(model.health_monitors);
  each(model.floating_ips);
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
    for (const auto& [id, floating_ip] : model.floating_ips) {
      if (floating_ip.address == address) ids.push_back(id);
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
    for (const auto& [id, load_balancer] : model.load_balancers) {
      if (is_pending(load_balancer)) reasons.emplace(id, reason);
    }
  }
  return reasons;
}

Reasons all_pending(const model::Model& model, const Error& error) {
  Reasons reasons;
  for_each_object(model, [&](const model::Object& object) {
    if (is_pending(object)) reasons.emplace(object.id, "read the data plane: " + error.text());
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

}  // namespace

std::vector<std::string> settle_provisioning(model::Model& model, const Attempt& attempt,
                                             const DataPlaneState& actual, model::Timestamp now,
                                             bool* changed) {
  bool any = false;
  const auto reasons = attempt.unreadable ? all_pending(model, *attempt.unreadable)
                                          : reasons_of(model, attempt.refusals, actual);
  const bool blames_changes = !attempt.unreadable || attempt.counts_as_refused;
  std::vector<std::string> lines;
  for_each_object(model, [&](auto& object) {
    const auto reason = reasons.find(object.id);
    if (reason != reasons.end()) {
      const bool news = object.provisioning_status != ProvisioningStatus::error ||
                        object.provisioning_error != reason->second;
      if (is_pending(object)) {
        note_failure(object, blames_changes);
        object.updated_at = now;
      }
      any = any || news;
      object.provisioning_status = ProvisioningStatus::error;
      object.provisioning_error = reason->second;
      if (news) lines.push_back(title(kind_of(object), object) + " is ERROR: " + reason->second);
    } else if (!attempt.unreadable && !is_settled(object)) {
      if (!is_pending(object)) lines.push_back(title(kind_of(object), object) + " is ACTIVE again");
      object.provisioning_status = ProvisioningStatus::active;
      object.provisioning_error.clear();
      object.updated_at = now;
      note_failure(object, false);
      any = true;
    }
  });
  if (changed) *changed = any;
  return lines;
}

bool any_unsettled(const model::Model& model) {
  bool any = false;
  for_each_object(model, [&](const model::Object& object) { any = any || !is_settled(object); });
  return any;
}

}  // namespace sluice::control
