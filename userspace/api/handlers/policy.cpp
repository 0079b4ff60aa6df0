#include "api/handlers/policy.hpp"

namespace sluice::api {
namespace {

tl::unexpected<Error> forbidden() {
  return fail(ErrorKind::forbidden, "Policy does not allow this request to be performed.");
}

// Says whether the two differ in an object of another project.
template <typename T>
bool touches_others(const model::Table<T>& before, const model::Table<T>& after,
                    const std::string& project) {
  bool touches = false;
  model::Table<T>::for_each_difference(before, after, [&](const Uuid&, const T* old, const T* now) {
    touches = (old ? old : now)->project_id != project;
    return !touches;
  });
  return touches;
}

bool touches_others(const model::Model& before, const model::Model& after,
                    const std::string& project) {
  return touches_others(before.load_balancers, after.load_balancers, project) ||
         touches_others(before.listeners, after.listeners, project) ||
         touches_others(before.pools, after.pools, project) ||
         touches_others(before.members, after.members, project) ||
         touches_others(before.health_monitors, after.health_monitors, project) ||
         touches_others(before.floating_ips, after.floating_ips, project) ||
         before.quotas != after.quotas || before.drained_nodes != after.drained_nodes;
}

}  // namespace

Result<void> check_route(const Request& request, std::string_view pattern) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (request.who.role == Role::reader && !reads) return forbidden();
  const bool of_the_node =
      pattern.starts_with("/v1/") && pattern != "/v1/batch" && pattern != "/v1/events";
  const bool of_all_projects = pattern.starts_with("/v2/lbaas/quotas") && !reads;
  if (request.who.role == Role::member && (of_the_node || of_all_projects)) return forbidden();
  return {};
}

bool may_see_project(const Call& call, std::string_view project) {
  const auto& who = call.request.who;
  return who.role != Role::member || who.project == project;
}

std::string default_project(const Call& call) {
  const auto& who = call.request.who;
  return who.project.empty() ? call.context.default_project_id : who.project;
}

Result<void> check_project(const Call& call, std::string_view project) {
  if (!may_see_project(call, project)) return forbidden();
  return {};
}

Result<void> change(const Call& call, const control::Controller::Edit& edit) {
  auto& controller = call.context.controller;
  const auto& who = call.request.who;
  const auto* fleet = call.context.fleet;
  if (who.role != Role::member && !fleet) return controller.change(edit);
  return controller.change([&](model::Model& model) -> Result<void> {
    const auto before = model;
    if (auto done = edit(model); !done) return done;
    if (who.role == Role::member && touches_others(before, model, who.project)) return forbidden();
    return fleet ? fleet->permits(before, model) : Result<void>();
  });
}

}  // namespace sluice::api
