#include <fmt/format.h>
#include <boost/algorithm/string/predicate.hpp>

#include "api/collection.hpp"
#include "api/handlers.hpp"
#include "model/edit.hpp"

namespace sluice::api {
namespace {

using model::LoadBalancer;

// What create and update have in common.
void read_mutable(Attributes& in, LoadBalancer& out) {
  in.text("name", out.name);
  in.text("description", out.description);
  in.boolean("admin_state_up", out.admin_state_up, true);
  in.tags("tags", out.tags);
  in.unsupported("vip_qos_policy_id", "there is no quality of service here");
}

void read_id_as_text(Attributes& in, std::string_view name, std::optional<std::string>& target) {
  std::optional<Uuid> id;
  in.optional_id(name, id);
  if (id) target = to_string(*id);
}

// The VIP is a bare address; subnet and network are remarks beside it until subnets can be
// configured.
void read_vip(Attributes& in, LoadBalancer& out) {
  std::optional<IpAddress> address;
  in.optional_address("vip_address", address);
  read_id_as_text(in, "vip_subnet_id", out.vip_subnet_id);
  read_id_as_text(in, "vip_network_id", out.vip_network_id);
  std::optional<Uuid> port;
  in.optional_id("vip_port_id", port);
  if (port) {
    in.refuse(validation_failure(
        fmt::format("Port {} not found: there are no ports to choose from, pass vip_address.",
                    to_string(*port))));
  }
  if (address) {
    out.vip_address = *address;
  } else if (out.vip_subnet_id || out.vip_network_id) {
    in.refuse(validation_failure(
        fmt::format("no subnets are configured, so {} {} has no address to give: pass vip_address.",
                    out.vip_subnet_id ? "subnet" : "network",
                    out.vip_subnet_id.value_or(out.vip_network_id.value_or("")))));
  } else {
    in.refuse(validation_failure("VIP must contain one of: vip_address."));
  }
}

void read_provider(Attributes& in) {
  std::string provider;
  in.text("provider", provider, 64);
  if (provider.empty() || provider == "sluice") return;
  in.refuse({ErrorKind::invalid, fmt::format("Provider '{}' is not enabled.", provider),
             "the only one is 'sluice'", 0});
}

void read_new(Attributes& in, LoadBalancer& out) {
  read_mutable(in, out);
  read_vip(in, out);
  read_provider(in);
  const auto fallback = out.project_id;
  in.text("project_id", out.project_id, model::max_project_id_length, fallback);
  in.text("tenant_id", out.project_id, model::max_project_id_length, fallback);
  in.unsupported("additional_vips", "a load balancer has one VIP (and floating IPs)");
  in.unsupported("listeners", "create listeners one by one");
  in.unsupported("pools", "create pools one by one");
  in.unsupported("flavor_id", "there are no flavors");
  in.unsupported("availability_zone", "there are no availability zones");
}

// What the real service takes for true in "?cascade=".
bool asks_for_cascade(const Call& call) {
  for (const auto& [name, value] : call.query) {
    if (name != "cascade") continue;
    for (auto yes : {"1", "t", "true", "on", "y", "yes"}) {
      if (boost::iequals(value, yes)) return true;
    }
  }
  return false;
}

}  // namespace

Result<Reply> create_load_balancer(const Call& call) {
  LoadBalancer object;
  object.project_id = call.context.default_project_id;
  auto read =
      read_body<LoadBalancer>(call, Purpose::create, [&](Attributes& in) { read_new(in, object); });
  if (!read) return tl::unexpected(read.error());
  return create<LoadBalancer>(
      call, [&](model::Model& model) { return model::add(model, object, now()); });
}

Result<Reply> update_load_balancer(const Call& call) {
  const auto found = find<LoadBalancer>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  LoadBalancer object = **found;
  auto read = read_body<LoadBalancer>(call, Purpose::update,
                                      [&](Attributes& in) { read_mutable(in, object); });
  if (!read) return tl::unexpected(read.error());
  return update(call, object);
}

Result<Reply> delete_load_balancer(const Call& call) {
  const auto found = find<LoadBalancer>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  return remove(call, [&, id = (*found)->id](model::Model& model) {
    return model::remove_load_balancer(model, id, asks_for_cascade(call), now());
  });
}

Result<Reply> show_load_balancer_status(const Call& call) {
  const auto found = find<LoadBalancer>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  return Reply{200, render_status_tree(view(call), **found)};
}

}  // namespace sluice::api
