// Quotas: the number of objects of each kind that a project may have. model/edit.hpp enforces them.
#include <boost/json/array.hpp>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "model/edit.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

using model::Quota;

json::object render(const Quota& quota) {
  return {
      {"load_balancer", quota.load_balancer},
      {"listener", quota.listener},
      {"member", quota.member},
      {"pool", quota.pool},
      {"health_monitor", quota.health_monitor},
      {"l7policy", quota.l7policy},
      {"l7rule", quota.l7rule},
  };
}

// Renders an entry of a list, in which the real service also has two misspelled names beside the
// right ones.
json::object render(const std::string& project, const Quota& quota) {
  auto out = render(quota);
  out.emplace("project_id", project);
  out.emplace("tenant_id", project);
  out.emplace("loadbalancer", quota.load_balancer);
  out.emplace("healthmonitor", quota.health_monitor);
  return out;
}

Reply wrapped(unsigned status, const Quota& quota) {
  return {status, json::object{{"quota", render(quota)}}};
}

void read(Attributes& in, Quota& out) {
  const auto number = [&](std::string_view name, std::int32_t& target) {
    in.integer(name, target, model::quota_range, -1);
  };
  number("load_balancer", out.load_balancer);
  number("loadbalancer", out.load_balancer);
  number("listener", out.listener);
  number("member", out.member);
  number("pool", out.pool);
  number("health_monitor", out.health_monitor);
  number("healthmonitor", out.health_monitor);
  number("l7policy", out.l7policy);
  number("l7rule", out.l7rule);
}

}  // namespace

Result<Reply> list_quotas(const Call& call) {
  std::vector<json::object> rendered;
  for (const auto& [project, quota] : call.context.controller.model().quotas) {
    if (may_see_project(call, project)) rendered.push_back(render(project, quota));
  }
  // Lists need ids. A quota has none, so its project's id serves.
  for (auto& quota : rendered) quota.emplace("id", quota.at("project_id"));
  auto sample = render(std::string(), Quota{});
  sample.emplace("id", "");
  auto listed = list_of(call, "quotas", sample, std::move(rendered));
  if (!listed) return listed;
  for (auto& quota : listed->body->at("quotas").as_array()) quota.as_object().erase("id");
  return listed;
}

Result<Reply> show_quota(const Call& call) {
  if (auto own = check_project(call, call.ids[0]); !own && call.ids[0] != "defaults") {
    return tl::unexpected(own.error());
  }
  return wrapped(200, model::quota_of(call.context.controller.model(), call.ids[0]));
}

Result<Reply> show_default_quota(const Call&) {
  return wrapped(200, Quota{});
}

Result<Reply> change_quota(const Call& call) {
  const auto& project = call.ids[0];
  if (auto fits = model::check_length("project_id", project, model::max_project_id_length); !fits) {
    return tl::unexpected(fits.error());
  }
  auto quota = model::quota_of(call.context.controller.model(), project);
  const auto body = unwrap(call.request, "quotas", "quota");
  if (!body) return tl::unexpected(body.error());
  Attributes in(*body, Purpose::update, "quotas.quota");
  read(in, quota);
  if (auto done = in.finish(); !done) return tl::unexpected(done.error());
  auto changed = change(call, [&](model::Model& model) -> Result<void> {
    model::set_quota(model, project, quota);
    return {};
  });
  if (!changed) return tl::unexpected(changed.error());
  return wrapped(202, quota);
}

Result<Reply> delete_quota(const Call& call) {
  const auto& project = call.ids[0];
  if (!call.context.controller.model().quotas.contains(project)) {
    return tl::unexpected(not_found("Quotas", project));
  }
  auto changed = change(call, [&](model::Model& model) -> Result<void> {
    model::reset_quota(model, project);
    return {};
  });
  if (!changed) return tl::unexpected(changed.error());
  return Reply{202, std::nullopt};
}

}  // namespace sluice::api
