#include "model/vips.hpp"

#include <algorithm>

namespace sluice::model {

std::vector<IpAddress> vips(const LoadBalancer& load_balancer) {
  std::vector<IpAddress> all{load_balancer.vip_address};
  for (const auto& vip : load_balancer.additional_vips) all.push_back(vip.address);
  return all;
}

std::optional<IpAddress> vip_of_version(const LoadBalancer& load_balancer, bool ipv6) {
  for (const auto& address : vips(load_balancer)) {
    if (address.is_v6() == ipv6) return address;
  }
  return std::nullopt;
}

bool has_vip(const LoadBalancer& load_balancer, const IpAddress& address) {
  return std::ranges::count(vips(load_balancer), address) > 0;
}

std::string vips_text(const LoadBalancer& load_balancer) {
  std::string text;
  for (const auto& address : vips(load_balancer)) {
    text.append(text.empty() ? "" : ", ").append(address.to_string());
  }
  return text;
}

}  // namespace sluice::model
