// sluicectl loadbalancer provider, quota: the service's description of itself, and the limits of a
// project.
#include <boost/json.hpp>
#include <charconv>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/nouns/crud.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

const Resource& provider_resource() {
  static const Resource resource = {.singular = "provider",
                                    .wrapper = "provider",
                                    .collection = "providers",
                                    .path = "/v2.0/lbaas/providers",
                                    .command = "loadbalancer provider",
                                    .columns = {"name", "description"}};
  return resource;
}

const Resource& quota_resource() {
  static const Resource resource = {
      .singular = "quota",
      .wrapper = "quota",
      .collection = "quotas",
      .path = "/v2.0/lbaas/quotas",
      .command = "loadbalancer quota",
      .rows = {"load_balancer", "listener", "pool", "health_monitor", "member", "l7policy",
               "l7rule"},
      .columns = {"project_id", "load_balancer", "listener", "pool", "health_monitor", "member"}};
  return resource;
}

Result<Answer> show_defaults(const Call& call) {
  const auto& resource = quota_resource();
  const auto quota = call.client.fetch(resource.path + "/defaults", resource.wrapper);
  if (!quota) return tl::unexpected(quota.error());
  return to_record(*quota, resource);
}

std::string path_of_quota(const Call& call) {
  return quota_resource().path + "/" + escaped(call.invocation.positionals.at("PROJECT"));
}

Result<Answer> show_quota(const Call& call) {
  const auto quota = call.client.fetch(path_of_quota(call), quota_resource().wrapper);
  if (!quota) return tl::unexpected(quota.error());
  return to_record(*quota, quota_resource());
}

Result<Answer> list_quotas(const Call& call) {
  const auto quotas = call.client.list(quota_resource().path, quota_resource().collection);
  if (!quotas) return tl::unexpected(quotas.error());
  return to_listing(*quotas, quota_resource(), quota_resource().columns);
}

// Changes the limits whose options were given; `unset` removes limits.
Result<Answer> change_quota(const Call& call) {
  boost::json::object limits;
  for (const auto& option : call.verb.options) {
    if (!call.invocation.has(option.name)) continue;
    const bool unset = option.kind == Kind::flag_null;
    std::int64_t limit = 0;
    const auto text = call.invocation.value(option.name);
    std::from_chars(text.data(), text.data() + text.size(), limit);
    limits[option.attribute] = unset ? boost::json::value() : boost::json::value(limit);
  }
  const auto quota = call.client.send("PUT", path_of_quota(call), "quota", std::move(limits));
  if (!quota) {
    return tl::unexpected(
        about("set quota of " + call.invocation.positionals.at("PROJECT"), quota.error()));
  }
  return to_record(*quota, quota_resource());
}

Result<Answer> reset_quota(const Call& call) {
  const auto done = call.client.request("DELETE", path_of_quota(call));
  if (!done) {
    return tl::unexpected(
        about("reset quota of " + call.invocation.positionals.at("PROJECT"), done.error()));
  }
  return Answer{};
}

// The kinds of objects that a quota limits: the option, and the API's name.
constexpr std::pair<const char*, const char*> limited[] = {{"loadbalancer", "load_balancer"},
                                                           {"listener", "listener"},
                                                           {"pool", "pool"},
                                                           {"member", "member"},
                                                           {"healthmonitor", "health_monitor"}};

std::vector<Option> limits() {
  std::vector<Option> options;
  for (const auto& [name, attribute] : limited) {
    options.push_back(
        option(Kind::integer, name, "N", "how many there may be, -1 for any number", attribute));
  }
  return options;
}

std::vector<Option> limits_to_unset() {
  std::vector<Option> options;
  for (const auto& [name, attribute] : limited) {
    options.push_back(flag(Kind::flag_null, name, "as many as the project likes", attribute));
  }
  return options;
}

Noun make_quota_noun() {
  const std::vector<Positional> project = {{.name = "PROJECT"}};
  Noun noun{.name = "quota",
            .summary = "how many objects a project may have",
            .under_loadbalancer = true,
            .resource = &quota_resource()};
  noun.verbs = {{.name = "list",
                 .summary = "projects with limits",
                 .output = Output::listing,
                 .run = list_quotas},
                {.name = "show",
                 .summary = "a project's limits, -1 for none",
                 .positionals = project,
                 .output = Output::record,
                 .run = show_quota},
                {.name = "set",
                 .summary = "limit how many objects a project may have",
                 .positionals = project,
                 .options = limits(),
                 .output = Output::record,
                 .run = change_quota,
                 .examples = {"sluicectl loadbalancer quota set --loadbalancer 10 "
                              "eac679e4896146e6827ce29d755fe289"}},
                {.name = "unset",
                 .summary = "take some of a project's limits away",
                 .positionals = project,
                 .options = limits_to_unset(),
                 .output = Output::record,
                 .run = change_quota},
                {.name = "reset",
                 .summary = "take all of a project's limits away",
                 .positionals = project,
                 .run = reset_quota},
                {.name = "defaults show",
                 .summary = "the limits of a project that has none set, -1 for none",
                 .output = Output::record,
                 .run = show_defaults}};
  return noun;
}

}  // namespace

const Noun& provider_noun() {
  static const Noun noun = {
      .name = "provider",
      .summary = "what balances the load: Sluice",
      .under_loadbalancer = true,
      .resource = &provider_resource(),
      .verbs = {
          {.name = "list", .summary = "all providers", .output = Output::listing, .run = list}}};
  return noun;
}

const Noun& quota_noun() {
  static const Noun noun = make_quota_noun();
  return noun;
}

}  // namespace sluice::ctl
