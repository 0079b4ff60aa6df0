#include "api/vip.hpp"

#include <fmt/format.h>

#include "api/fault.hpp"

namespace sluice::api {
namespace {

using model::Networks;
using model::Subnet;

tl::unexpected<Error> refuse(std::string_view detail) {
  return tl::unexpected(validation_failure(detail));
}

// "Subnet 2b2a... not found.": what a request refers to in its body is its own mistake, so 400.
tl::unexpected<Error> unknown(std::string_view kind, const Uuid& id) {
  return fail(ErrorKind::invalid, fmt::format("{} {} not found.", kind, to_string(id)));
}

// The network's subnet that has the address, or the first one with room, IPv4 before IPv6.
Result<const Subnet*> choose_subnet(const model::Model& model, const model::Network& network,
                                    const std::optional<IpAddress>& address) {
  if (address) {
    for (const auto& subnet : network.subnets) {
      if (subnet.cidr.contains(*address)) return &subnet;
    }
    return refuse("Supplied network does not contain a subnet for VIP address specified.");
  }
  for (const bool v6 : {false, true}) {
    for (const auto& subnet : network.subnets) {
      if (subnet.cidr.is_v6() == v6 && allocate_address(model, subnet)) return &subnet;
    }
  }
  return refuse("Subnet(s) in the supplied network do not contain enough available IPs.");
}

Result<const Subnet*> find_subnet(const model::Model& model, const Networks& networks,
                                  const VipRequest& request) {
  if (networks.empty()) {
    return refuse("no subnets are configured, so there is no address to give: pass vip_address.");
  }
  if (!request.network) {
    const auto* subnet = networks.find_subnet(*request.subnet);
    if (subnet == nullptr) return unknown("Subnet", *request.subnet);
    return subnet;
  }
  const auto* network = networks.find_network(*request.network);
  if (network == nullptr) return unknown("Network", *request.network);
  if (!request.subnet) return choose_subnet(model, *network, request.address);
  const auto* subnet = networks.find_subnet(*request.subnet);
  if (subnet == nullptr || subnet->network_id != network->id) {
    return unknown("Subnet", *request.subnet);
  }
  return subnet;
}

void place(const Subnet& subnet, const IpAddress& address, model::LoadBalancer& out) {
  out.vip_address = address;
  out.vip_subnet_id = to_string(subnet.id);
  out.vip_network_id = to_string(subnet.network_id);
}

// A bare address belongs to the subnet that it lies in, if there is one. Without any configured
// subnets, the request's own remarks about them are kept.
void place_bare(const Networks& networks, const VipRequest& request, model::LoadBalancer& out) {
  if (const auto* subnet = networks.subnet_of(*request.address)) {
    return place(*subnet, *request.address, out);
  }
  out.vip_address = *request.address;
  if (request.subnet) out.vip_subnet_id = to_string(*request.subnet);
  if (request.network) out.vip_network_id = to_string(*request.network);
}

}  // namespace

void read_vip(Attributes& in, VipRequest& out) {
  in.optional_address("vip_address", out.address);
  in.optional_id("vip_subnet_id", out.subnet);
  in.optional_id("vip_network_id", out.network);
  in.optional_id("vip_port_id", out.port);
  if (out.address || out.subnet || out.network || out.port) return;
  in.refuse(validation_failure(
      "VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id, vip_address."));
}

Result<void> set_vip(const model::Model& model, const Networks& networks, const VipRequest& request,
                     model::LoadBalancer& out) {
  // The only ports that there are belong to load balancers already.
  if (request.port) return unknown("Port", *request.port);
  const bool bare = request.address && !request.subnet && !request.network;
  if (bare || (request.address && networks.empty())) {
    place_bare(networks, request, out);
    return {};
  }
  const auto subnet = find_subnet(model, networks, request);
  if (!subnet) return tl::unexpected(subnet.error());
  if (request.address && !(*subnet)->cidr.contains(*request.address)) {
    return fail(ErrorKind::invalid, fmt::format("IP address {} is not a valid IP for the specified "
                                                "subnet.",
                                                request.address->to_string()));
  }
  const auto address =
      request.address ? Result<IpAddress>(*request.address) : allocate_address(model, **subnet);
  if (!address) return tl::unexpected(address.error());
  place(**subnet, *address, out);
  return {};
}

}  // namespace sluice::api
