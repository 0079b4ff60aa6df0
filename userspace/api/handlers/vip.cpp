#include "api/handlers/vip.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "api/language/fault.hpp"

namespace sluice::api {
namespace {

using model::Networks;
using model::Subnet;

// The source of free addresses.
struct FreeAddresses {
  const model::Model& model;
  const model::MayGive& may_give;

  Result<IpAddress> allocate(const Subnet& subnet) const {
    return allocate_address(model, subnet, may_give);
  }
};

tl::unexpected<Error> refuse(std::string_view detail) {
  return tl::unexpected(validation_failure(detail));
}

// "Subnet 2b2a... not found.", as 400, because the mistake is in the request's body.
tl::unexpected<Error> unknown(std::string_view kind, const Uuid& id) {
  return fail(ErrorKind::invalid, fmt::format("{} {} not found.", kind, to_string(id)));
}

// Chooses the network's subnet that has the address, or the first one with room, IPv4 before IPv6.
Result<const Subnet*> choose_subnet(const FreeAddresses& free, const model::Network& network,
                                    const std::optional<IpAddress>& address) {
  if (address) {
    for (const auto& subnet : network.subnets) {
      if (subnet.cidr.contains(*address)) return &subnet;
    }
    return refuse("Supplied network does not contain a subnet for VIP address specified.");
  }
  for (const bool v6 : {false, true}) {
    for (const auto& subnet : network.subnets) {
      if (subnet.cidr.is_v6() == v6 && free.allocate(subnet)) return &subnet;
    }
  }
  return refuse("Subnet(s) in the supplied network do not contain enough available IPs.");
}

Result<const Subnet*> find_subnet(const FreeAddresses& free, const Networks& networks,
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
  if (!request.subnet) return choose_subnet(free, *network, request.address);
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

// Returns the address that was asked for, which must be in the subnet, or a free one.
Result<IpAddress> address_on(const FreeAddresses& free, const Subnet& subnet,
                             const std::optional<IpAddress>& wanted) {
  if (!wanted) return free.allocate(subnet);
  if (subnet.cidr.contains(*wanted)) return *wanted;
  return fail(ErrorKind::invalid,
              fmt::format("IP address {} is not a valid IP for the specified subnet.",
                          wanted->to_string()));
}

// Puts an address without subnet into the configured subnet that contains it, if there is one.
// Without configured subnets, those that the request names are stored as they are.
void place_bare(const Networks& networks, const VipRequest& request, model::LoadBalancer& out) {
  if (const auto* subnet = networks.subnet_of(*request.address)) {
    return place(*subnet, *request.address, out);
  }
  out.vip_address = *request.address;
  if (request.subnet) out.vip_subnet_id = to_string(*request.subnet);
  if (request.network) out.vip_network_id = to_string(*request.network);
}

Result<void> set_first_vip(const FreeAddresses& free, const Networks& networks,
                           const VipRequest& request, model::LoadBalancer& out) {
  // All ports that exist belong to load balancers already.
  if (request.port) return unknown("Port", *request.port);
  const bool bare = request.address && !request.subnet && !request.network;
  if (bare || (request.address && networks.empty())) {
    place_bare(networks, request, out);
    return {};
  }
  const auto subnet = find_subnet(free, networks, request);
  if (!subnet) return tl::unexpected(subnet.error());
  const auto address = address_on(free, **subnet, request.address);
  if (!address) return tl::unexpected(address.error());
  place(**subnet, *address, out);
  return {};
}

Result<model::AdditionalVip> bare_additional_vip(const AdditionalVipRequest& request) {
  if (!request.address) {
    return refuse("no subnets are configured, so there is no address to give: pass ip_address.");
  }
  model::AdditionalVip vip{*request.address, std::nullopt};
  if (request.subnet) vip.subnet_id = to_string(*request.subnet);
  return vip;
}

bool has_vip_on(const model::LoadBalancer& load_balancer, const std::string& subnet) {
  return load_balancer.vip_subnet_id == subnet ||
         std::ranges::any_of(load_balancer.additional_vips,
                             [&](const auto& vip) { return vip.subnet_id == subnet; });
}

// Precondition: `out` has its first VIP and the additional ones before this one.
Result<model::AdditionalVip> additional_vip(const FreeAddresses& free, const Networks& networks,
                                            const AdditionalVipRequest& request,
                                            const model::LoadBalancer& out) {
  if (networks.empty()) return bare_additional_vip(request);
  if (!request.subnet) {
    return tl::unexpected(invalid_input("subnet_id", "None", "Mandatory field missing."));
  }
  const auto* subnet = networks.find_subnet(*request.subnet);
  if (subnet == nullptr) return unknown("Subnet", *request.subnet);
  const auto id = to_string(subnet->id);
  if (has_vip_on(out, id)) {
    return refuse("Duplicate VIP subnet(s) specified. Only one IP can be bound per subnet.");
  }
  if (out.vip_network_id != to_string(subnet->network_id)) {
    return refuse("All VIP subnets must belong to the same network.");
  }
  const auto address = address_on(free, *subnet, request.address);
  if (!address) return tl::unexpected(address.error());
  return model::AdditionalVip{*address, id};
}

}  // namespace

void read_vip(Attributes& in, VipRequest& out) {
  in.objects("additional_vips", [&](Attributes& nested) {
    auto& vip = out.additional.emplace_back();
    nested.optional_id("subnet_id", vip.subnet);
    nested.optional_address("ip_address", vip.address);
  });
  in.boolean("force", out.force, false);
  in.optional_address("vip_address", out.address);
  in.optional_id("vip_subnet_id", out.subnet);
  in.optional_id("vip_network_id", out.network);
  in.optional_id("vip_port_id", out.port);
  if (out.address || out.subnet || out.network || out.port) return;
  in.refuse(validation_failure(
      "VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id, vip_address."));
}

Result<void> set_vip(const model::Model& model, const Networks& networks,
                     const model::MayGive& may_give, const VipRequest& request,
                     model::LoadBalancer& out) {
  const FreeAddresses free{model, may_give};
  if (auto set = set_first_vip(free, networks, request, out); !set) return set;
  for (const auto& additional : request.additional) {
    auto vip = additional_vip(free, networks, additional, out);
    if (!vip) return tl::unexpected(vip.error());
    out.additional_vips.push_back(std::move(*vip));
  }
  return {};
}

}  // namespace sluice::api
