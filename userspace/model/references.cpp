#include "model/references.hpp"

#include <fmt/format.h>

#include "model/names.hpp"

namespace sluice::model {
namespace {

template <typename T, typename Parent>
Result<void> check_one(const T& object, const Table<Parent>& parents, const Uuid& parent) {
  if (parents.contains(parent)) return {};
  const auto name = object.name.empty() ? "" : fmt::format(" ({})", object.name);
  return fail(ErrorKind::internal,
              fmt::format("{} {}{} belongs to {} {}, which is not there", kind_of(object),
                          to_string(object.id), name, kind_of(Parent{}), to_string(parent)));
}

}  // namespace

Result<void> check_references(const Model& model) {
  Result<void> found;
  const auto check = [&](const auto& object, const auto& parents, const Uuid& parent) {
    if (found) found = check_one(object, parents, parent);
  };
  for (const auto& [id, listener] : model.listeners) {
    check(listener, model.load_balancers, listener.load_balancer_id);
    if (listener.default_pool_id) check(listener, model.pools, *listener.default_pool_id);
  }
  for (const auto& [id, pool] : model.pools) {
    check(pool, model.load_balancers, pool.load_balancer_id);
  }
  for (const auto& [id, member] : model.members) check(member, model.pools, member.pool_id);
  for (const auto& [id, monitor] : model.health_monitors) {
    check(monitor, model.pools, monitor.pool_id);
  }
  for (const auto& [id, address] : model.floating_ips) {
    if (address.load_balancer_id) check(address, model.load_balancers, *address.load_balancer_id);
  }
  return found;
}

}  // namespace sluice::model
