#include <fmt/format.h>

#include <algorithm>

#include "model/edit.hpp"
#include "model/edit_steps.hpp"

namespace sluice::model {
namespace {

std::int32_t allowed(const Quota& quota, const LoadBalancer&) {
  return quota.load_balancer;
}
std::int32_t allowed(const Quota& quota, const Listener&) {
  return quota.listener;
}
std::int32_t allowed(const Quota& quota, const Pool&) {
  return quota.pool;
}
std::int32_t allowed(const Quota& quota, const Member&) {
  return quota.member;
}
std::int32_t allowed(const Quota& quota, const HealthMonitor&) {
  return quota.health_monitor;
}

const auto& others(const Model& model, const LoadBalancer&) {
  return model.load_balancers;
}
const auto& others(const Model& model, const Listener&) {
  return model.listeners;
}
const auto& others(const Model& model, const Pool&) {
  return model.pools;
}
const auto& others(const Model& model, const Member&) {
  return model.members;
}
const auto& others(const Model& model, const HealthMonitor&) {
  return model.health_monitors;
}

}  // namespace

template <typename T>
Result<void> check_quota(const Model& model, const T& object) {
  const auto limit = allowed(quota_of(model, object.project_id), object);
  if (limit < 0) return {};
  const auto existing = std::ranges::count_if(others(model, object), [&](const auto& entry) {
    return entry.second.project_id == object.project_id;
  });
  if (existing < limit) return {};
  return fail(ErrorKind::forbidden,
              fmt::format("Quota has been met for resources: {}", kind_of(object)));
}

template Result<void> check_quota(const Model&, const LoadBalancer&);
template Result<void> check_quota(const Model&, const Listener&);
template Result<void> check_quota(const Model&, const Pool&);
template Result<void> check_quota(const Model&, const Member&);
template Result<void> check_quota(const Model&, const HealthMonitor&);

void set_quota(Model& model, const std::string& project, Quota quota) {
  model.quotas[project] = quota;
}

void reset_quota(Model& model, const std::string& project) {
  model.quotas.erase(project);
}

Quota quota_of(const Model& model, const std::string& project) {
  const auto found = model.quotas.find(project);
  return found == model.quotas.end() ? Quota{} : found->second;
}

}  // namespace sluice::model
