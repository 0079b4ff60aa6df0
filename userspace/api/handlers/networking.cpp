// The Networking API, as far as clients of the Load Balancer API ask it: the networks and subnets
// of the configuration, the ports of the VIPs, and the floating IPs.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/json/array.hpp>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "model/networks.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

json::object render_network(const Call& call, const model::Network& network) {
  json::array subnets;
  for (const auto& subnet : network.subnets) subnets.emplace_back(to_string(subnet.id));
  return {
      {"id", to_string(network.id)},
      {"name", network.name},
      {"description", ""},
      {"status", "ACTIVE"},
      {"admin_state_up", true},
      {"subnets", std::move(subnets)},
      {"project_id", call.context.default_project_id},
      {"tenant_id", call.context.default_project_id},
      {"shared", false},
      {"router:external", network.external},
      {"is_default", false},
      {"port_security_enabled", false},
      {"availability_zones", json::array()},
      {"availability_zone_hints", json::array()},
      {"tags", json::array()},
  };
}

json::object render_subnet(const Call& call, const model::Subnet& subnet) {
  json::array pools{
      json::object{{"start", subnet.first.to_string()}, {"end", subnet.last.to_string()}}};
  json::value gateway;
  if (subnet.gateway) gateway = subnet.gateway->to_string();
  return {
      {"id", to_string(subnet.id)},
      {"name", subnet.name},
      {"description", ""},
      {"network_id", to_string(subnet.network_id)},
      {"cidr", subnet.cidr.to_string()},
      {"ip_version", subnet.cidr.is_v6() ? 6 : 4},
      {"gateway_ip", std::move(gateway)},
      {"allocation_pools", std::move(pools)},
      {"project_id", call.context.default_project_id},
      {"tenant_id", call.context.default_project_id},
      {"enable_dhcp", false},
      {"dns_nameservers", json::array()},
      {"host_routes", json::array()},
      {"ipv6_address_mode", nullptr},
      {"ipv6_ra_mode", nullptr},
      {"service_types", json::array()},
      {"subnetpool_id", nullptr},
      {"segment_id", nullptr},
      {"tags", json::array()},
  };
}

json::object fixed_ip(const IpAddress& address, const std::optional<std::string>& subnet) {
  json::value subnet_id;
  if (subnet) subnet_id = *subnet;
  return {{"subnet_id", std::move(subnet_id)}, {"ip_address", address.to_string()}};
}

// Shows the port of a load balancer with all its VIPs, to which a floating IP is tied.
json::object render_port(const model::LoadBalancer& owner) {
  json::value network;
  if (owner.vip_network_id) network = *owner.vip_network_id;
  json::array fixed_ips{fixed_ip(owner.vip_address, owner.vip_subnet_id)};
  for (const auto& vip : owner.additional_vips) {
    fixed_ips.push_back(fixed_ip(vip.address, vip.subnet_id));
  }
  return {
      {"id", to_string(owner.vip_port_id)},
      {"name", "octavia-lb-" + to_string(owner.id)},
      {"description", ""},
      {"status", "ACTIVE"},
      {"admin_state_up", owner.admin_state_up},
      {"device_id", "lb-" + to_string(owner.id)},
      {"device_owner", "Octavia"},
      {"network_id", network},
      {"fixed_ips", std::move(fixed_ips)},
      {"mac_address", ""},
      {"project_id", owner.project_id},
      {"tenant_id", owner.project_id},
      {"allowed_address_pairs", json::array()},
      {"security_groups", json::array()},
      {"tags", json::array()},
  };
}

std::vector<json::object> networks(const Call& call) {
  std::vector<json::object> rendered;
  for (const auto& network : call.context.controller.networks().all()) {
    rendered.push_back(render_network(call, network));
  }
  return rendered;
}

std::vector<json::object> subnets(const Call& call) {
  std::vector<json::object> rendered;
  for (const auto& network : call.context.controller.networks().all()) {
    for (const auto& subnet : network.subnets) rendered.push_back(render_subnet(call, subnet));
  }
  return rendered;
}

std::vector<json::object> ports(const Call& call) {
  std::vector<json::object> rendered;
  for (const auto* owner : oldest_first(view(call).model.load_balancers,
                                        [&](const auto& owner) { return may_see(call, owner); })) {
    rendered.push_back(render_port(*owner));
  }
  return rendered;
}

// Shows an empty object, for the names of its attributes.
json::object sample_network(const Call& call) {
  return render_network(call, {});
}
json::object sample_subnet(const Call& call) {
  return render_subnet(call, {});
}

Result<Reply> one_of(const Call& call, std::string_view singular, std::string_view title,
                     std::vector<json::object> objects) {
  for (auto& object : objects) {
    if (object.at("id").as_string() != call.ids[0]) continue;
    return Reply{200, json::object{{singular, std::move(object)}}};
  }
  return fail(ErrorKind::not_found, fmt::format("{} {} could not be found.", title, call.ids[0]));
}

json::object extension(std::string_view alias, std::string_view name) {
  return {
      {"alias", alias},         {"name", name},
      {"description", ""},      {"updated", "2016-01-01T00:00:00-00:00"},
      {"links", json::array()},
  };
}

// Clients look for these extensions before they use external networks and floating IPs.
std::vector<json::object> extensions() {
  return {extension("router", "Neutron L3 Router"),
          extension("security-group", "security-group"),
          extension("allowed-address-pairs", "Allowed Address Pairs"),
          extension("external-net", "External network"),
          extension("standard-attr-tag", "Tag support"),
          extension("floating-ip-port-details", "Add Port Details to Floating IP")};
}

}  // namespace

Result<Reply> list_networks(const Call& call) {
  return list_of(call, "networks", sample_network(call), networks(call));
}
Result<Reply> show_network(const Call& call) {
  return one_of(call, "network", "Network", networks(call));
}
Result<Reply> list_subnets(const Call& call) {
  return list_of(call, "subnets", sample_subnet(call), subnets(call));
}
Result<Reply> show_subnet(const Call& call) {
  return one_of(call, "subnet", "Subnet", subnets(call));
}
Result<Reply> list_ports(const Call& call) {
  return list_of(call, "ports", render_port({}), ports(call));
}
Result<Reply> show_port(const Call& call) {
  return one_of(call, "port", "Port", ports(call));
}

// Accepts a port without security groups and address pairs, which is what cloud software mostly
// sets. Others are refused, because they would have no effect on packets.
Result<Reply> update_port(const Call& call) {
  auto shown = show_port(call);
  if (!shown) return shown;
  const auto body = unwrap(call.request, "port", "port");
  if (!body) return tl::unexpected(body.error());
  Attributes in(*body, Purpose::update, "port.port");
  for (auto name : {"security_groups", "allowed_address_pairs"}) {
    in.unsupported(name, "VIPs are guarded by their listeners' allowed_cidrs");
  }
  if (auto done = in.finish(); !done) return tl::unexpected(done.error());
  return shown;
}

Result<Reply> list_security_groups(const Call& call) {
  const json::object sample{{"id", ""},         {"name", ""},      {"description", ""},
                            {"project_id", ""}, {"tenant_id", ""}, {"tags", json::array()}};
  return list_of(call, "security_groups", sample, {});
}

Result<Reply> show_security_group(const Call& call) {
  return one_of(call, "security_group", "Security group", {});
}

Result<Reply> list_extensions(const Call&) {
  json::array shown;
  for (auto& extension : extensions()) shown.push_back(std::move(extension));
  return Reply{200, json::object{{"extensions", std::move(shown)}}};
}

Result<Reply> show_extension(const Call& call) {
  for (auto& extension : extensions()) {
    if (extension.at("alias").as_string() != call.ids[0]) continue;
    return Reply{200, json::object{{"extension", std::move(extension)}}};
  }
  return fail(ErrorKind::not_found,
              fmt::format("Extension with alias {} does not exist", call.ids[0]));
}

}  // namespace sluice::api
