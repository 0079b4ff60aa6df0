// The Networking API's floating IPs. A floating IP is a further address that reaches a load
// balancer's VIP; it comes from an external network and is tied to the load balancer by its VIP's
// port.
#include <fmt/format.h>

#include "api/handlers/address_claims.hpp"
#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "model/edit.hpp"
#include "model/free_address.hpp"
#include "model/networks.hpp"

namespace sluice::api {
namespace {

using model::FloatingIp;

// Reads the vip_port_id of the load balancer to tie the address to; null unties it.
void read_port(Attributes& in, const model::Model& model, FloatingIp& out) {
  const auto* value = in.take("port_id");
  if (!value) return;
  std::optional<Uuid> port;
  in.optional_id("port_id", port);
  out.load_balancer_id.reset();
  if (!port) return;
  for (const auto& [id, load_balancer] : model.load_balancers) {
    if (load_balancer.vip_port_id == *port) out.load_balancer_id = id;
  }
  if (out.load_balancer_id) return;
  in.refuse({ErrorKind::not_found, "Port " + to_string(*port) + " could not be found.",
             "pass the vip_port_id of a load balancer", 0});
}

struct AddressRequest {
  std::optional<IpAddress> address;
  std::optional<Uuid> network, subnet;
  bool force = false;  // a Sluice extension: also an address that somebody else has
};

void read_new(Attributes& in, const model::Model& model, FloatingIp& out, AddressRequest& request) {
  in.optional_id("floating_network_id", request.network);
  in.optional_id("subnet_id", request.subnet);
  in.optional_address("floating_ip_address", request.address);
  in.boolean("force", request.force, false);
  if (!request.network && !request.address) {
    in.refuse(invalid_input("floating_network_id", "None", "Mandatory field missing."));
  }
  read_port(in, model, out);
  in.text("description", out.description);
  in.tags("tags", out.tags);
  const auto fallback = out.project_id;
  in.text("project_id", out.project_id, model::max_project_id_length, fallback);
  in.text("tenant_id", out.project_id, model::max_project_id_length, fallback);
  in.ignore("fixed_ip_address");  // it is the load balancer's VIP
  for (auto name : {"dns_domain", "dns_name", "qos_policy_id"}) {
    in.unsupported(name, "addresses only");
  }
}

Result<IpAddress> allocate(const model::Model& model, const model::Network& network,
                           const model::MayGive& may_give, const std::optional<Uuid>& only) {
  Result<IpAddress> address =
      fail(ErrorKind::conflict,
           fmt::format("No more IP addresses available on network {}.", to_string(network.id)));
  for (const auto& subnet : network.subnets) {
    if (only && subnet.id != *only) continue;
    address = allocate_address(model, subnet, may_give);
    if (address) break;
  }
  return address;
}

// Without a network, the caller's address is taken as it is.
Result<void> set_address(const model::Model& model, const model::Networks& networks,
                         const model::MayGive& may_give, const AddressRequest& request,
                         FloatingIp& out) {
  if (request.network) {
    const auto* network = networks.find_network(*request.network);
    if (network == nullptr) {
      return fail(ErrorKind::not_found,
                  fmt::format("Network {} could not be found.", to_string(*request.network)));
    }
    if (!network->external) {
      return fail(ErrorKind::invalid,
                  fmt::format("Bad floatingip request: Network {} is not a valid external network.",
                              to_string(network->id)));
    }
    out.network_id = network->id;
    if (!request.address) {
      const auto address = allocate(model, *network, may_give, request.subnet);
      if (!address) return tl::unexpected(address.error());
      out.address = *address;
      return {};
    }
  }
  out.address = *request.address;
  return {};
}

}  // namespace

Result<Reply> create_floating_ip(const Call& call) {
  const auto& model = call.context.controller.model();
  FloatingIp object;
  object.project_id = default_project(call);
  AddressRequest request;
  auto read = read_body<FloatingIp>(call, Purpose::create,
                                    [&](Attributes& in) { read_new(in, model, object, request); });
  if (!read) return tl::unexpected(read.error());
  if (auto own = check_project(call, object.project_id); !own) return tl::unexpected(own.error());
  return create<FloatingIp>(call, [&](model::Model& changing) -> Result<Uuid> {
    auto set =
        set_address(changing, call.context.controller.networks(), givable(call), request, object);
    if (!set) return tl::unexpected(set.error());
    const auto added = model::add(changing, object, now());
    if (!added) return added;
    if (auto ours = take_addresses(call, {object.address}, request.force); !ours)
      return tl::unexpected(ours.error());
    return added;
  });
}

Result<Reply> update_floating_ip(const Call& call) {
  const auto found = find<FloatingIp>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  FloatingIp object = **found;
  auto read = read_body<FloatingIp>(call, Purpose::update, [&](Attributes& in) {
    read_port(in, call.context.controller.model(), object);
    in.text("description", object.description);
    in.ignore("fixed_ip_address");
    in.unsupported("qos_policy_id", "addresses only");
  });
  if (!read) return tl::unexpected(read.error());
  return update(call, object);
}

Result<Reply> delete_floating_ip(const Call& call) {
  const auto found = find<FloatingIp>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  return remove(call, [id = (*found)->id](model::Model& model) {
    return model::remove_floating_ip(model, id, now());
  });
}

}  // namespace sluice::api
