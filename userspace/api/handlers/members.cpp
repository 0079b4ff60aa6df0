#include <algorithm>
#include <map>
#include <set>

#include "api/handlers/address_claims.hpp"
#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/handlers/readers.hpp"
#include "model/edit.hpp"
#include "model/status.hpp"

namespace sluice::api {
namespace {

namespace json = boost::json;
using model::Member;
using model::Pool;

void read_mutable(Attributes& in, Member& out) {
  const Member defaults;
  in.text("name", out.name);
  in.boolean("admin_state_up", out.admin_state_up, false);
  in.integer("weight", out.weight, model::weight_range, defaults.weight);
  in.boolean("backup", out.backup, defaults.backup);
  in.optional_integer("max_connections", out.max_connections, model::max_connections_range);
  in.optional_address("monitor_address", out.monitor_address, &out.typed_monitor_address);
  in.optional_integer("monitor_port", out.monitor_port, model::port_range);
  in.tags("tags", out.tags);
}

// Reads a drain and its end: a command of one request, not an attribute that is shown.
void read_drain(Attributes& in, Member& out) {
  std::optional<std::uint32_t> seconds;
  const bool weighs = in.given("weight") && out.weight > 0;
  in.optional_integer("drain", seconds, model::drain_timeout_range);
  if (!seconds || in.refused()) return;
  if (weighs) {
    return in.refuse({ErrorKind::invalid,
                      "A member that is drained has no weight: give drain without weight.",
                      {},
                      0});
  }
  out.weight = 0;
  out.drain_until = now() + std::chrono::seconds(*seconds);
}

// Shows what is left of a drain.
void show_drain(const Call& call, const Member& member, json::object& shown) {
  if (member.takes_connections()) return;
  const auto counters = call.context.controller.data_plane().member_counters(member.id);
  shown["connections_left"] = counters ? json::value(counters->active_flows()) : json::value();
  if (!member.drain_until) return;
  const auto left = std::chrono::ceil<std::chrono::seconds>(*member.drain_until - now());
  shown["drain_seconds_left"] = std::max<std::int64_t>(left.count(), 0);
}

// Shows what is left of a slow start.
void show_slow_start(const Call& call, const Member& member, json::object& shown) {
  const auto left = call.context.controller.slow_start_left(member.id);
  if (!left) return;
  shown["slow_start_seconds_left"] = std::chrono::ceil<std::chrono::seconds>(*left).count();
}

// Shows what its check leaves of its weight.
void show_reduced(const Call& call, const Member& member, json::object& shown) {
  const auto& reduced = call.context.controller.reduced();
  const auto found = reduced.find(member.id);
  if (found != reduced.end()) shown["weight_percent"] = found->second;
}

// Finds the member that the path names, in the pool that the path names.
Result<const Member*> find_in_pool(const Call& call) {
  const auto pool = find<Pool>(call, call.ids[0]);
  if (!pool) return tl::unexpected(pool.error());
  const auto member = find<Member>(call, call.ids[1]);
  if (!member) return member;
  if ((*member)->pool_id == (*pool)->id) return member;
  return tl::unexpected(not_found(Kind<Member>::words.title, call.ids[1]));
}

using Endpoint = std::pair<IpAddress, std::uint16_t>;
using Endpoints = std::map<Endpoint, const Member*>;

Endpoints endpoints_of(const model::Model& model, const Uuid& pool) {
  Endpoints endpoints;
  for (const auto* member : model::members_of(model, pool)) {
    endpoints[{member->address, member->protocol_port}] = member;
  }
  return endpoints;
}

// Reads an entry of the batch: first the endpoint, then the other attributes. Those that it leaves
// out go back to their defaults, as if the member were created again; only name and tags stay.
Member read_entry(Attributes& in, const Endpoints& existing) {
  Member entry;
  in.required_address("address", entry.address);
  in.required_integer("protocol_port", entry.protocol_port, model::member_port_range);
  const auto found = existing.find({entry.address, entry.protocol_port});
  if (found != existing.end()) {
    const auto& old = *found->second;
    entry.id = old.id;
    entry.name = old.name;
    entry.tags = old.tags;
    entry.drain_until = old.drain_until;
  }
  read_new(in, entry);
  if (found != existing.end()) {  // these are given at creation only
    entry.subnet_id = found->second->subnet_id;
    entry.typed_address = found->second->typed_address;
  }
  in.project();
  return entry;
}

Result<std::vector<Member>> read_batch(const Call& call, const Endpoints& existing) {
  const auto body = unwrap_list(call.request, "members_", "members");
  if (!body) return tl::unexpected(body.error());
  std::vector<Member> entries;
  Attributes in(*body, Purpose::create, "members_");
  in.objects("members",
             [&](Attributes& nested) { entries.push_back(read_entry(nested, existing)); });
  if (auto read = in.finish(); !read) return tl::unexpected(read.error());
  return entries;
}

Result<void> remove_missing(model::Model& model, const Uuid& pool,
                            const std::vector<Member>& entries) {
  std::set<Uuid> staying;
  for (const auto& entry : entries) staying.insert(entry.id);
  for (const auto& [endpoint, member] : endpoints_of(model, pool)) {
    if (staying.contains(member->id)) continue;
    if (auto removed = model::remove_member(model, pool, member->id, now()); !removed) {
      return removed;
    }
  }
  return {};
}

Result<void> put_entries(const Call& call, model::Model& model, const Uuid& pool,
                         const std::vector<Member>& entries) {
  auto time = now();
  for (auto entry : entries) {
    time += std::chrono::microseconds(1);  // the order of the batch is the order of the list
    entry.pool_id = pool;
    if (!entry.id.is_nil()) {
      if (auto replaced = model::replace(model, std::move(entry), time); !replaced) {
        return replaced;
      }
      continue;
    }
    if (auto may = check_member_address(call, entry.address); !may) return may;
    const auto added = model::add(model, std::move(entry), time);
    if (!added) return tl::unexpected(added.error());
  }
  return {};
}

bool asks_for_addition_only(const Call& call) {
  return is_true(query_value(call, "additive_only"));
}

}  // namespace

void read_new(Attributes& in, Member& out) {
  in.required_address("address", out.address, &out.typed_address);
  in.required_integer("protocol_port", out.protocol_port, model::member_port_range);
  read_mutable(in, out);
  // The subnet is stored without being checked: only the members' network knows it.
  std::optional<Uuid> subnet;
  in.optional_id("subnet_id", subnet);
  if (subnet) out.subnet_id = to_string(*subnet);
}

Result<Reply> list_members(const Call& call) {
  const auto pool = find<Pool>(call, call.ids[0]);
  if (!pool) return tl::unexpected(pool.error());
  return list_below<Member>(call, (*pool)->id);
}

Result<Reply> create_member(const Call& call) {
  const auto pool = find<Pool>(call, call.ids[0]);
  if (!pool) return tl::unexpected(pool.error());
  Member object;
  object.pool_id = (*pool)->id;
  auto read = read_body<Member>(call, Purpose::create, [&](Attributes& in) {
    read_new(in, object);
    in.project();  // a member's project is its pool's
  });
  if (!read) return tl::unexpected(read.error());
  if (auto may = check_member_address(call, object.address); !may)
    return tl::unexpected(may.error());
  const bool monitored = model::monitor_of(call.context.controller.model(), object.pool_id);
  return create<Member>(
      call, [&](model::Model& model) { return model::add(model, object, now()); },
      monitored ? "OFFLINE" : "NO_MONITOR");
}

Result<Reply> show_member(const Call& call) {
  const auto member = find_in_pool(call);
  if (!member) return tl::unexpected(member.error());
  auto rendered = render(view(call), **member);
  show_drain(call, **member, rendered);
  show_slow_start(call, **member, rendered);
  show_reduced(call, **member, rendered);
  return shown<Member>(call, std::move(rendered));
}

Result<Reply> update_member(const Call& call) {
  const auto found = find_in_pool(call);
  if (!found) return tl::unexpected(found.error());
  Member object = **found;
  auto read = read_body<Member>(call, Purpose::update, [&](Attributes& in) {
    read_mutable(in, object);
    read_drain(in, object);
  });
  if (!read) return tl::unexpected(read.error());
  return update(call, object);
}

Result<Reply> delete_member(const Call& call) {
  const auto found = find_in_pool(call);
  if (!found) return tl::unexpected(found.error());
  return remove(call, [pool = (*found)->pool_id, id = (*found)->id](model::Model& model) {
    return model::remove_member(model, pool, id, now());
  });
}

// PUT on the collection: replaces the pool's members by these, all or none.
Result<Reply> replace_members(const Call& call) {
  const auto pool = find<Pool>(call, call.ids[0]);
  if (!pool) return tl::unexpected(pool.error());
  const auto id = (*pool)->id;
  const auto entries = read_batch(call, endpoints_of(call.context.controller.model(), id));
  if (!entries) return tl::unexpected(entries.error());
  const bool keep = asks_for_addition_only(call);
  auto changed = change(call, [&](model::Model& model) -> Result<void> {
    if (!keep) {
      if (auto removed = remove_missing(model, id, *entries); !removed) return removed;
    }
    return put_entries(call, model, id, *entries);
  });
  if (!changed) return tl::unexpected(changed.error());
  return Reply{202, std::nullopt};
}

}  // namespace sluice::api
