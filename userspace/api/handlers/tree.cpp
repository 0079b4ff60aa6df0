// Creates a fully populated load balancer: one request, one transaction.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/handlers/readers.hpp"
#include "api/language/fault.hpp"
#include "api/language/vocabulary.hpp"
#include "model/edit.hpp"

namespace sluice::api {
namespace {

// These attributes are mandatory only where the pool is defined, which is known once the whole
// request was read.
void read_draft(Attributes& in, PoolDraft& out) {
  const bool protocol = in.given("protocol"), algorithm = in.given("lb_algorithm");
  if (protocol) read_protocol(in, out.pool);
  if (algorithm) read_algorithm(in, out.pool);
  out.missing = !protocol ? "protocol" : !algorithm ? "lb_algorithm" : nullptr;
  read_new(in, out.pool);
  in.objects("members", [&](Attributes& nested) { read_new(nested, out.members.emplace_back()); });
  in.object("healthmonitor", [&](Attributes& nested) { read_new(nested, out.monitor.emplace()); });
  out.is_reference = !protocol && !algorithm && out.members.empty() && !out.monitor &&
                     out.pool.description.empty() && !out.pool.session_persistence;
}

void read_draft(Attributes& in, ListenerDraft& out) {
  read_new(in, out.listener);
  in.object("default_pool",
            [&](Attributes& nested) { read_draft(nested, out.default_pool.emplace()); });
}

using Pools = std::map<std::string, Uuid>;  // by name, which is unique within the request

// Objects that are created at once get different times, because lists show them in that order.
model::Timestamp tick(model::Timestamp& now) {
  return now += std::chrono::microseconds(1);
}

Result<Uuid> add_pool(model::Model& model, const PoolDraft& draft, const Uuid& load_balancer,
                      model::Timestamp& now) {
  if (draft.missing != nullptr) {
    return tl::unexpected(
        validation_failure(fmt::format("Pool definition for '{}' missing required attribute: {}",
                                       draft.pool.name, draft.missing)));
  }
  auto pool = draft.pool;
  pool.load_balancer_id = load_balancer;
  const auto id = model::add(model, std::move(pool), std::nullopt, tick(now));
  if (!id) return id;
  if (draft.monitor) {
    auto monitor = *draft.monitor;
    monitor.pool_id = *id;
    if (auto added = model::add(model, std::move(monitor), tick(now)); !added) return added;
  }
  for (auto member : draft.members) {
    member.pool_id = *id;
    if (auto added = model::add(model, std::move(member), tick(now)); !added) return added;
  }
  return id;
}

// Finds the pools that are definitions, not references.
Result<std::vector<const PoolDraft*>> definitions(const LoadBalancerDraft& draft) {
  for (const auto& [listener, pool] : draft.listeners) {
    if (!pool || !pool->pool.name.empty()) continue;
    return tl::unexpected(
        validation_failure("Pools must be named when creating a fully populated loadbalancer."));
  }
  auto found = all_pools(draft);
  std::erase_if(found, [&](const PoolDraft* pool) {
    const bool on_top =
        std::ranges::any_of(draft.pools, [&](const auto& own) { return &own == pool; });
    return !on_top && pool->is_reference;
  });
  for (auto a = found.begin(); a != found.end(); ++a) {
    const auto same = [&](const PoolDraft* b) { return (*a)->pool.name == b->pool.name; };
    if (std::any_of(std::next(a), found.end(), same)) {
      return tl::unexpected(validation_failure(
          "Pool names must be unique when creating a fully populated loadbalancer."));
    }
  }
  return found;
}

Result<Pools> add_pools(model::Model& model, const LoadBalancerDraft& draft, const Uuid& owner,
                        model::Timestamp& now) {
  const auto defined = definitions(draft);
  if (!defined) return tl::unexpected(defined.error());
  const auto names = [&](const std::string& name) {
    return std::ranges::any_of(*defined, [&](const auto* pool) { return pool->pool.name == name; });
  };
  for (const auto& [listener, pool] : draft.listeners) {
    if (!pool || names(pool->pool.name)) continue;
    return tl::unexpected(validation_failure(fmt::format(
        "Pool '{}' was referenced but no full definition was found.", pool->pool.name)));
  }
  Pools pools;
  for (const auto* pool : *defined) {
    const auto id = add_pool(model, *pool, owner, now);
    if (!id) return tl::unexpected(id.error());
    pools.emplace(pool->pool.name, *id);
  }
  return pools;
}

}  // namespace

std::vector<const PoolDraft*> all_pools(const LoadBalancerDraft& draft) {
  std::vector<const PoolDraft*> pools;
  for (const auto& pool : draft.pools) pools.push_back(&pool);
  for (const auto& listener : draft.listeners) {
    if (listener.default_pool) pools.push_back(&*listener.default_pool);
  }
  return pools;
}

void read_children(Attributes& in, LoadBalancerDraft& out) {
  in.objects("listeners",
             [&](Attributes& nested) { read_draft(nested, out.listeners.emplace_back()); });
  in.objects("pools", [&](Attributes& nested) { read_draft(nested, out.pools.emplace_back()); });
}

Result<Uuid> add_tree(model::Model& model, const LoadBalancerDraft& draft, model::Timestamp now) {
  const auto owner = model::add(model, draft.load_balancer, now);
  if (!owner) return owner;
  const auto pools = add_pools(model, draft, *owner, now);
  if (!pools) return tl::unexpected(pools.error());
  for (auto [listener, pool] : draft.listeners) {
    listener.load_balancer_id = *owner;
    if (pool) listener.default_pool_id = pools->at(pool->pool.name);
    if (auto added = model::add(model, std::move(listener), tick(now)); !added) return added;
  }
  return owner;
}

}  // namespace sluice::api
