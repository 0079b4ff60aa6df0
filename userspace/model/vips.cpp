#include "model/vips.hpp"

#include <algorithm>
#include <iterator>

namespace sluice::model {

std::vector<IpAddress> vips(const LoadBalancer& load_balancer) {
  std::vector<IpAddress> all{load_balancer.vip_address};
  for (const auto& vip : load_balancer.additional_vips) all.push_back(vip.address);
  return all;
}

std::optional<IpAddress> vip_of_version(const LoadBalancer& load_balancer, bool ipv6) {
  if (load_balancer.vip_address.is_v6() == ipv6) return load_balancer.vip_address;
  for (const auto& vip : load_balancer.additional_vips) {
    if (vip.address.is_v6() == ipv6) return vip.address;
  }
  return std::nullopt;
}

bool has_vip(const LoadBalancer& load_balancer, const IpAddress& address) {
  return load_balancer.vip_address == address ||
         std::ranges::any_of(load_balancer.additional_vips,
                             [&](const auto& vip) { return vip.address == address; });
}

std::vector<IpAddress> snat_of_version(const LoadBalancer& load_balancer, bool ipv6) {
  std::vector<IpAddress> all;
  std::ranges::copy_if(load_balancer.snat_addresses, std::back_inserter(all),
                       [&](const auto& address) { return address.is_v6() == ipv6; });
  return all;
}

std::vector<IpAddress> own_addresses(const LoadBalancer& load_balancer) {
  auto all = vips(load_balancer);
  all.insert(all.end(), load_balancer.snat_addresses.begin(), load_balancer.snat_addresses.end());
  return all;
}

bool has_address(const LoadBalancer& load_balancer, const IpAddress& address) {
  return has_vip(load_balancer, address) ||
         std::ranges::count(load_balancer.snat_addresses, address) != 0;
}

std::string vips_text(const LoadBalancer& load_balancer) {
  std::string text;
  for (const auto& address : vips(load_balancer)) {
    text.append(text.empty() ? "" : ", ").append(address.to_string());
  }
  return text;
}

}  // namespace sluice::model
