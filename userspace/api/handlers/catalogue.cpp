// The parts of the real service beyond layer 4 and one provider: questions are answered, and what
// cannot be done is refused with the reason.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

json::object provider() {
  return {{"name", model::default_provider},
          {"description", "The Sluice layer-4 load balancer in the kernel."}};
}

Result<Reply> capabilities(const Call& call, std::string_view wrapper) {
  if (call.ids[0] != model::default_provider &&
      std::ranges::count(model::provider_aliases, call.ids[0]) == 0) {
    return fail(ErrorKind::invalid, fmt::format("Provider '{}' is not enabled.", call.ids[0]));
  }
  return Reply{200, json::object{{wrapper, json::array()}}};
}

// Returns the collection that a path names: "l7policies" of /v2/lbaas/l7policies/2b2a...
std::string_view collection_of(const Call& call) {
  std::string_view path = path_of(call.request.target);
  path.remove_prefix(path.find('/', 1) + 1);  // the version
  path.remove_prefix(path.find('/') + 1);     // "lbaas" or "octavia"
  return path.substr(0, path.find_first_of("/?"));
}

}  // namespace

Result<Reply> list_providers(const Call& call) {
  auto listed = list_of(call, "providers", provider(), {provider()});
  if (listed) listed->body->as_object().erase("providers_links");
  return listed;
}

Result<Reply> list_flavor_capabilities(const Call& call) {
  return capabilities(call, "flavor_capabilities");
}

Result<Reply> list_availability_zone_capabilities(const Call& call) {
  return capabilities(call, "availability_zone_capabilities");
}

Result<Reply> list_nothing(const Call& call) {
  const std::string name(collection_of(call));
  // The real service spells these plurals so.
  const auto plural = name == "availabilityzones"          ? "availability_zones"
                      : name == "availabilityzoneprofiles" ? "availability_zone_profiles"
                                                           : name;
  const auto links = name == "flavorprofiles"             ? "flavorprofile"
                     : name == "availabilityzoneprofiles" ? "availability_zone_profile"
                                                          : plural;
  return Reply{200, json::object{{plural, json::array()}, {links + "_links", json::array()}}};
}

Result<Reply> find_nothing(const Call& call) {
  const auto collection = collection_of(call);
  for (const auto& [name, title] : {std::pair("l7policies", "L7 Policy"),
                                    {"flavors", "Flavor"},
                                    {"flavorprofiles", "Flavor Profile"},
                                    {"availabilityzones", "Availability Zone"},
                                    {"availabilityzoneprofiles", "Availability Zone Profile"}}) {
    if (collection == name) return tl::unexpected(not_found(title, call.ids[0]));
  }
  return tl::unexpected(not_found("Amphora", call.ids[0]));
}

Result<Reply> refuse_collection(const Call& call) {
  return tl::unexpected(unsupported_option(
      fmt::format("{}: a layer-4 load balancer without tenants has none", collection_of(call))));
}

}  // namespace sluice::api
