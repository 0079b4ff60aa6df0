// VIPs: vip_address and the additional VIPs of a load balancer as one list.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip_address.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// All VIPs, vip_address first.
std::vector<IpAddress> vips(const LoadBalancer& load_balancer);
// The first VIP of that IP version; nullopt: there is none.
std::optional<IpAddress> vip_of_version(const LoadBalancer& load_balancer, bool ipv6);
bool has_vip(const LoadBalancer& load_balancer, const IpAddress& address);
// "10.0.0.16" or "10.0.0.16, 2001:db8::16", for texts.
std::string vips_text(const LoadBalancer& load_balancer);

}  // namespace sluice::model
