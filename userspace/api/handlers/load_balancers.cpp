#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "api/handlers/address_claims.hpp"
#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/handlers/readers.hpp"
#include "api/handlers/vip.hpp"
#include "api/language/vocabulary.hpp"
#include "model/edit.hpp"
#include "model/names.hpp"
#include "model/vips.hpp"

namespace sluice::api {
namespace {

using model::LoadBalancer;

// Reads the attributes of both create and update.
void read_mutable(Attributes& in, LoadBalancer& out) {
  in.text("name", out.name);
  in.text("description", out.description);
  in.boolean("admin_state_up", out.admin_state_up, false);
  in.tags("tags", out.tags);
  in.choice("on_unmatched", out.on_unmatched, words::refusal_modes, model::parse_refusal_mode,
            std::optional(LoadBalancer{}.on_unmatched));
  in.choice("announce", out.announce, words::announces, model::parse_announce,
            std::optional(LoadBalancer{}.announce));
  in.addresses("snat_addresses", out.snat_addresses);
  in.unsupported("vip_qos_policy_id", "there is no quality of service here");
}

// The names of the real service's providers are accepted and shown as they were given. Clients
// compare the two, and would recreate the load balancer if they differed.
void read_provider(Attributes& in, LoadBalancer& out) {
  std::string provider;
  in.text("provider", provider, 64);
  if (provider.empty()) return;
  if (provider == model::default_provider ||
      std::ranges::count(model::provider_aliases, provider) != 0) {
    out.provider = provider;
    return;
  }
  in.refuse({ErrorKind::invalid, fmt::format("Provider '{}' is not enabled.", provider), {}, 0});
}

std::vector<IpAddress> new_snat_addresses(const LoadBalancer& old, const LoadBalancer& now) {
  std::vector<IpAddress> added;
  std::ranges::copy_if(now.snat_addresses, std::back_inserter(added), [&](const auto& address) {
    return std::ranges::count(old.snat_addresses, address) == 0;
  });
  return added;
}

// Refuses flavors and availability zones: there are none, so any name is unknown.
void refuse_cloud(Attributes& in) {
  std::optional<Uuid> flavor;
  in.optional_id("flavor_id", flavor);
  if (flavor) in.refuse(validation_failure("Invalid flavor_id."));
  if (in.asks("availability_zone")) in.refuse(validation_failure("Invalid availability zone."));
}

void read_new(Attributes& in, LoadBalancerDraft& out, VipRequest& vip) {
  auto& object = out.load_balancer;
  read_mutable(in, object);
  read_vip(in, vip);
  read_provider(in, object);
  const auto fallback = object.project_id;
  in.text("project_id", object.project_id, model::max_project_id_length, fallback);
  in.text("tenant_id", object.project_id, model::max_project_id_length, fallback);
  refuse_cloud(in);
  read_children(in, out);
}

}  // namespace

Result<Reply> create_load_balancer(const Call& call) {
  LoadBalancerDraft draft;
  draft.load_balancer.project_id = default_project(call);
  VipRequest vip;
  auto read = read_body<LoadBalancer>(call, Purpose::create,
                                      [&](Attributes& in) { read_new(in, draft, vip); });
  if (!read) return tl::unexpected(read.error());

  if (auto own = check_project(call, draft.load_balancer.project_id); !own) {
    return tl::unexpected(own.error());
  }
  const auto& networks = call.context.controller.networks();
  Uuid id{};
  auto changed = change(call, [&](model::Model& model) -> Result<void> {
    if (auto set = set_vip(model, networks, givable(call), vip, draft.load_balancer); !set)
      return set;
    for (const auto* pool : all_pools(draft)) {
      for (const auto& member : pool->members) {
        if (auto may = check_member_address(call, member.address); !may) return may;
      }
    }
    const auto added = add_tree(model, draft, now());
    if (!added) return tl::unexpected(added.error());
    id = *added;
    return take_addresses(call, model::own_addresses(draft.load_balancer), vip.force);
  });
  if (!changed) return tl::unexpected(changed.error());
  return wrapped<LoadBalancer>(
      201, render_tree(view(call), call.context.controller.model().load_balancers.at(id)));
}

Result<Reply> update_load_balancer(const Call& call) {
  const auto found = find<LoadBalancer>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  LoadBalancer object = **found;
  bool force = false;
  auto read = read_body<LoadBalancer>(call, Purpose::update, [&](Attributes& in) {
    read_mutable(in, object);
    in.boolean("force", force, false);
  });
  if (!read) return tl::unexpected(read.error());
  return update(call, object, [&, old = **found](const model::Model&) {
    return take_addresses(call, new_snat_addresses(old, object), force);
  });
}

Result<Reply> delete_load_balancer(const Call& call) {
  const auto found = find<LoadBalancer>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  const bool cascade = is_true(query_value(call, "cascade"));
  return remove(call, [&, id = (*found)->id](model::Model& model) {
    return model::remove_load_balancer(model, id, cascade, now());
  });
}

Result<Reply> show_load_balancer_status(const Call& call) {
  const auto found = find<LoadBalancer>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  return Reply{200, render_status_tree(view(call), **found)};
}

// Does what can be done on one node, which has no second amphora to fail over to: applies the
// desired state again, which is what an object in ERROR waits for, and loads the program anew.
Result<Reply> fail_over(const Call& call) {
  const auto found = find<LoadBalancer>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  auto changed = change(call, [id = (*found)->id](model::Model& model) {
    return model::touch_load_balancer(model, id, now());
  });
  if (!changed) return tl::unexpected(changed.error());
  call.context.controller.reload_for((*found)->id);
  return Reply{202, std::nullopt};
}

}  // namespace sluice::api
