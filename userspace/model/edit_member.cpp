#include <fmt/format.h>

#include "model/checks.hpp"
#include "model/edit.hpp"
#include "model/edit_steps.hpp"
#include "model/status.hpp"
#include "model/vips.hpp"

namespace sluice::model {
namespace {

Result<void> check_not_on_pool(const Model& model, const Member& member) {
  for (const auto* other : model.members.with(Facet::address, subject(member.address))) {
    if (other->pool_id != member.pool_id || other->address != member.address ||
        other->protocol_port != member.protocol_port) {
      continue;
    }
    return fail(
        ErrorKind::conflict,
        fmt::format("Another member on this pool is already using ip {} on protocol_port {}",
                    member.address.to_string(), member.protocol_port));
  }
  return {};
}

// A member behind one of our own addresses would make packets go round in circles.
Result<void> check_not_a_vip(const Model& model, const Member& member) {
  const auto refuse = [&](std::string_view kind, const Uuid& id) {
    return fail(ErrorKind::invalid,
                fmt::format("{} is not a valid option for member address: it belongs to {} {}",
                            member.address.to_string(), kind, to_string(id)));
  };
  const auto address = subject(member.address);
  for (const auto* owner : model.load_balancers.with(Facet::address, address)) {
    if (has_address(*owner, member.address)) return refuse(kind_of(*owner), owner->id);
  }
  for (const auto* owner : model.floating_ips.with(Facet::address, address)) {
    if (owner->address == member.address) return refuse(kind_of(*owner), owner->id);
  }
  return {};
}

// Sets the end of a drain. A member that stops taking connections gets its pool's time, unless the
// request has an end of its own; one that takes them again has no end.
void time_drain(Member& member, const Member& before, const Pool& pool, Timestamp now) {
  if (member.takes_connections()) {
    member.drain_until.reset();
  } else if (before.takes_connections() && !member.drain_until && pool.drain_timeout_seconds) {
    member.drain_until = now + std::chrono::seconds(*pool.drain_timeout_seconds);
  }
}

}  // namespace

Result<Uuid> add(Model& model, Member member, Timestamp now) {
  const auto pool = find(model.pools, member.pool_id);
  if (!pool) return tl::unexpected(pool.error());
  begin(member, (*pool)->project_id, now);
  if (auto ok = first_failure({check(member), check_not_a_vip(model, member),
                               check_not_on_pool(model, member),
                               check_port_to_probe(member, monitor_of(model, member.pool_id)),
                               check_quota(model, member)});
      !ok) {
    return tl::unexpected(std::move(ok.error()));
  }
  mark_pool(model, member.pool_id);
  const auto id = member.id;
  model.members.put(std::move(member));
  return id;
}

Result<void> replace(Model& model, Member member, Timestamp now) {
  const auto current = find(model.members, member.id);
  if (!current) return tl::unexpected(current.error());
  const auto& old = **current;
  const auto fixed = [&](std::string_view attribute) {
    return immutable(kind_of(old), old.id, attribute);
  };
  if (member.pool_id != old.pool_id) return fixed("pool_id");
  if (member.address != old.address) return fixed("address");
  if (member.protocol_port != old.protocol_port) return fixed("protocol_port");
  if (member.subnet_id != old.subnet_id) return fixed("subnet_id");
  const auto* monitor = monitor_of(model, member.pool_id);
  if (auto ok = first_failure({check(member), check_port_to_probe(member, monitor)}); !ok) {
    return ok;
  }

  time_drain(member, old, model.pools.at(old.pool_id), now);
  mark_pool(model, old.pool_id);
  carry_over(member, old, now);
  model.members.put(std::move(member));
  return {};
}

Result<void> remove_member(Model& model, const Uuid& pool, const Uuid& id, Timestamp /*now*/) {
  if (const auto found = find(model.pools, pool); !found) return tl::unexpected(found.error());
  const auto member = find(model.members, id);
  if (!member) return tl::unexpected(member.error());
  if ((*member)->pool_id != pool) return not_found(kind_of(**member), id);
  mark_pool(model, pool);
  model.members.erase(id);
  return {};
}

}  // namespace sluice::model
