// sluicectl loadbalancer provider, quota: what the service says about itself. There is one
// provider, and nothing is limited.
#include <boost/json.hpp>

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
  static const Resource resource = {.singular = "quota",
                                    .wrapper = "quota",
                                    .collection = "quotas",
                                    .path = "/v2.0/lbaas/quotas",
                                    .command = "loadbalancer quota",
                                    .rows = {"load_balancer", "listener", "pool", "health_monitor",
                                             "member", "l7policy", "l7rule"}};
  return resource;
}

Result<Answer> show_defaults(const Call& call) {
  const auto& resource = quota_resource();
  const auto quota = call.client.fetch(resource.path + "/defaults", resource.wrapper);
  if (!quota) return tl::unexpected(quota.error());
  return to_record(*quota, resource);
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
  static const Noun noun = {.name = "quota",
                            .summary = "limits: there are none",
                            .under_loadbalancer = true,
                            .resource = &quota_resource(),
                            .verbs = {{.name = "defaults show",
                                       .summary = "the limits of every project, -1 for none",
                                       .output = Output::record,
                                       .run = show_defaults}}};
  return noun;
}

}  // namespace sluice::ctl
