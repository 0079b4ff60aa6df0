// The Networking API's floating IPs, as far as the walkthrough needs them: a further address that
// reaches a load balancer's VIP, tied to it by the VIP's port id.
#include "api/collection.hpp"
#include "api/handlers.hpp"
#include "model/edit.hpp"

namespace sluice::api {
namespace {

using model::FloatingIp;

// What an address can be tied to: a load balancer, named by its vip_port_id.
void read_port(Attributes& in, const model::Model& model, FloatingIp& out) {
  std::optional<Uuid> port;
  in.optional_id("port_id", port);
  if (!port) {
    if (in.creating()) {
      in.refuse(
          invalid_input("port_id", "None", "Value should be the vip_port_id of a load balancer"));
    } else if (in.take("port_id")) {
      in.refuse(unsupported_option(
          "a floating IP without a port is not supported by this version; delete it instead"));
    }
    return;
  }
  for (const auto& [id, load_balancer] : model.load_balancers) {
    if (load_balancer.vip_port_id != *port) continue;
    out.load_balancer_id = id;
    return;
  }
  in.refuse({ErrorKind::not_found, "Port " + to_string(*port) + " could not be found.",
             "pass the vip_port_id of a load balancer", 0});
}

void read_new(Attributes& in, const model::Model& model, FloatingIp& out) {
  if (!in.given("floating_ip_address")) {
    in.refuse(invalid_input("floating_ip_address", "None",
                            "No floating networks are configured: pass the address"));
  }
  in.required_address("floating_ip_address", out.address);
  read_port(in, model, out);
  in.ignore("floating_network_id");
  in.ignore("project_id");  // a floating IP's project is its load balancer's
  in.ignore("tenant_id");
  in.unsupported("description", "name the load balancer instead");
  in.unsupported("fixed_ip_address", "it is the load balancer's VIP");
}

}  // namespace

Result<Reply> create_floating_ip(const Call& call) {
  const auto& model = call.context.controller.model();
  FloatingIp object;
  auto read = read_body<FloatingIp>(call, Purpose::create,
                                    [&](Attributes& in) { read_new(in, model, object); });
  if (!read) return tl::unexpected(read.error());
  return create<FloatingIp>(
      call, [&](model::Model& changing) { return model::add(changing, object, now()); });
}

Result<Reply> update_floating_ip(const Call& call) {
  const auto found = find<FloatingIp>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  FloatingIp object = **found;
  auto read = read_body<FloatingIp>(call, Purpose::update, [&](Attributes& in) {
    read_port(in, call.context.controller.model(), object);
    in.unsupported("description", "name the load balancer instead");
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
