#include "api/collection.hpp"
#include "api/handlers.hpp"
#include "model/edit.hpp"
#include "model/status.hpp"

namespace sluice::api {
namespace {

using model::Member;
using model::Pool;

void read_mutable(Attributes& in, Member& out) {
  const Member defaults;
  in.text("name", out.name);
  in.boolean("admin_state_up", out.admin_state_up, true);
  in.integer("weight", out.weight, model::weight_range, defaults.weight);
  in.boolean("backup", out.backup, defaults.backup);
  in.optional_address("monitor_address", out.monitor_address);
  in.optional_integer("monitor_port", out.monitor_port, model::port_range);
  in.tags("tags", out.tags);
}

void read_new(Attributes& in, Member& out) {
  in.required_address("address", out.address);
  in.required_integer("protocol_port", out.protocol_port, model::port_range);
  read_mutable(in, out);
  std::optional<Uuid> subnet;
  in.optional_id("subnet_id", subnet);
  if (subnet) out.subnet_id = to_string(*subnet);
  in.ignore("project_id");  // a member's project is its pool's
  in.ignore("tenant_id");
}

// The member that the path names, which must be in the pool that the path names.
Result<const Member*> find_in_pool(const Call& call) {
  const auto pool = find<Pool>(call, call.ids[0]);
  if (!pool) return tl::unexpected(pool.error());
  const auto member = find<Member>(call, call.ids[1]);
  if (!member) return member;
  if ((*member)->pool_id == (*pool)->id) return member;
  return tl::unexpected(not_found(Kind<Member>::words.title, call.ids[1]));
}

}  // namespace

Result<Reply> list_members(const Call& call) {
  const auto pool = find<Pool>(call, call.ids[0]);
  if (!pool) return tl::unexpected(pool.error());
  return list_where<Member>(call,
                            [&](const Member& member) { return member.pool_id == (*pool)->id; });
}

Result<Reply> create_member(const Call& call) {
  const auto pool = find<Pool>(call, call.ids[0]);
  if (!pool) return tl::unexpected(pool.error());
  Member object;
  object.pool_id = (*pool)->id;
  auto read =
      read_body<Member>(call, Purpose::create, [&](Attributes& in) { read_new(in, object); });
  if (!read) return tl::unexpected(read.error());
  const bool monitored = model::monitor_of(call.context.controller.model(), object.pool_id);
  return create<Member>(
      call, [&](model::Model& model) { return model::add(model, object, now()); },
      monitored ? "OFFLINE" : "NO_MONITOR");
}

Result<Reply> show_member(const Call& call) {
  const auto member = find_in_pool(call);
  if (!member) return tl::unexpected(member.error());
  return wrapped<Member>(200, render(view(call), **member));
}

Result<Reply> update_member(const Call& call) {
  const auto found = find_in_pool(call);
  if (!found) return tl::unexpected(found.error());
  Member object = **found;
  auto read =
      read_body<Member>(call, Purpose::update, [&](Attributes& in) { read_mutable(in, object); });
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

}  // namespace sluice::api
