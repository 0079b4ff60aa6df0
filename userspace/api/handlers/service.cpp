// What the service tells about itself: the versions of its API, and Sluice's own view of the data
// plane.
#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"

namespace sluice::api {
namespace json = boost::json;

Result<Reply> list_versions(const Call& call) {
  json::object self{{"rel", "self"}, {"href", "http://" + call.request.host + "/v2"}};
  json::object version{
      {"id", "v2.0"},
      {"status", "CURRENT"},
      {"updated", "2016-12-11T00:00:00Z"},
      {"links", json::array{std::move(self)}},
  };
  return Reply{200, json::object{{"versions", json::array{std::move(version)}}}};
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
