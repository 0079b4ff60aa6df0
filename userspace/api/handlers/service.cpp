// The service's description of itself: the versions of its API, and Sluice's own view of the data
// plane.
#include <fmt/format.h>

#include <iterator>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"

namespace sluice::api {
namespace json = boost::json;

namespace {

// The minor versions that the real service announces, with its dates: v2.0, v2.1, ... Clients use
// what the last one allows. Below v2.12 the Kubernetes cloud provider would silently leave source
// ranges out, so that a service for some networks would be open to all.
constexpr const char* version_dates[] = {
    "2016-12-11T00:00:00Z", "2018-04-20T00:00:00Z", "2018-07-31T00:00:00Z", "2018-12-18T00:00:00Z",
    "2018-12-19T00:00:00Z", "2019-01-21T00:00:00Z", "2019-01-25T00:00:00Z", "2018-01-25T12:00:00Z",
    "2019-02-12T00:00:00Z", "2019-03-04T00:00:00Z", "2019-03-05T00:00:00Z", "2019-06-24T00:00:00Z",
    "2019-09-11T00:00:00Z", "2019-09-13T00:00:00Z", "2019-11-10T00:00:00Z", "2020-03-10T00:00:00Z",
    "2020-03-15T00:00:00Z", "2020-04-29T00:00:00Z", "2020-04-29T01:00:00Z", "2020-05-12T00:00:00Z",
    "2020-08-02T00:00:00Z", "2020-09-03T00:00:00Z", "2020-09-04T00:00:00Z", "2020-09-07T00:00:00Z",
    "2020-10-15T00:00:00Z", "2021-10-02T00:00:00Z", "2022-08-29T00:00:00Z"};

}  // namespace

Result<Reply> list_versions(const Call& call) {
  json::array versions;
  for (std::size_t minor = 0; minor < std::size(version_dates); ++minor) {
    const bool last = minor + 1 == std::size(version_dates);
    json::object self{{"rel", "self"}, {"href", root_url(call) + "/v2"}};
    versions.push_back(json::object{
        {"id", fmt::format("v2.{}", minor)},
        {"status", last ? "CURRENT" : "SUPPORTED"},
        {"updated", version_dates[minor]},
        {"links", json::array{std::move(self)}},
    });
  }
  return Reply{200, json::object{{"versions", std::move(versions)}}};
}

// Tells any caller whether this daemon should get requests: it answers, and the data plane is
// there.
Result<Reply> check_health(const Call& call) {
  const auto attached = call.context.controller.data_plane().interfaces();
  const unsigned status = attached ? 200 : 503;
  if (call.request.accept.find("application/json") != std::string::npos) {
    json::array reasons;
    if (!attached) reasons.emplace_back(attached.error().text());
    return Reply{status, json::object{{"detailed", false}, {"reasons", std::move(reasons)}}};
  }
  return Reply{status, json::value(attached ? "OK" : attached.error().text()),
               "text/plain; charset=utf-8"};
}

// Tells how clients connect over TCP, for sluicectl openrc and clouds-yaml.
Result<Reply> show_entrance(const Call& call) {
  const auto& entrance = call.context.entrance;
  json::array users;
  for (const auto& user : entrance.users) {
    users.push_back(json::object{
        {"name", user.name},
        {"project_id", user.project.empty() ? call.context.default_project_id : user.project}});
  }
  json::object shown{{"endpoint", entrance.endpoint},
                     {"token", entrance.with_token},
                     {"identity", entrance.with_identity},
                     {"users", std::move(users)}};
  return Reply{200, json::object{{"entrance", std::move(shown)}}};
}

Result<Reply> show_version(const Call&) {
  return Reply{200, "v2"};
}

Result<Reply> list_drops(const Call& call) {
  const auto reasons = call.context.controller.data_plane().reason_counters();
  if (!reasons) return tl::unexpected(reasons.error());
  json::array shown;
  for (const auto& reason : *reasons) {
    shown.push_back(json::object{
        {"label", reason.label},
        {"verdict", reason.verdict},
        {"description", reason.sentence},
        {"packets", reason.packets},
    });
  }
  return Reply{200, json::object{{"reasons", std::move(shown)}}};
}

}  // namespace sluice::api
