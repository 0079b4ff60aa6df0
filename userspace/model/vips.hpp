// VIPs: vip_address and the additional VIPs of a load balancer as one list; its SNAT addresses,
// which are answered for like VIPs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip_address.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// Says whether it is one host's address, and so may be a VIP or a SNAT address.
bool is_host_address(const IpAddress& address);
// All VIPs, vip_address first.
std::vector<IpAddress> vips(const LoadBalancer& load_balancer);
// The first VIP of that IP version; nullopt: there is none.
std::optional<IpAddress> vip_of_version(const LoadBalancer& load_balancer, bool ipv6);
bool has_vip(const LoadBalancer& load_balancer, const IpAddress& address);
// Its SNAT addresses of that IP version.
std::vector<IpAddress> snat_of_version(const LoadBalancer& load_balancer, bool ipv6);
// The source addresses that members of that IP version see whose clients have the other one: the
// SNAT addresses, or if there is none, the VIP.
std::vector<IpAddress> sources_toward(const LoadBalancer& load_balancer, bool ipv6);
// Says whether the pool's members may have another IP version than the VIP.
bool may_have_other_version(const Pool& pool);
// Its VIPs, then its SNAT addresses.
std::vector<IpAddress> own_addresses(const LoadBalancer& load_balancer);
// Says whether it is a VIP or a SNAT address of the load balancer.
bool has_address(const LoadBalancer& load_balancer, const IpAddress& address);
// "10.0.0.16" or "10.0.0.16, 2001:db8::16", for texts.
std::string vips_text(const LoadBalancer& load_balancer);

}  // namespace sluice::model
