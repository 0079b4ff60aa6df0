#include "model/vips.hpp"

#include <algorithm>
#include <iterator>

namespace sluice::model {
namespace {

// Clouds serve instance metadata at this address, so the real service reserves it, too.
bool is_reserved(const IpAddress& address) {
  return address == IpAddress(boost::asio::ip::address_v4({169, 254, 169, 254}));
}

// Says whether it is one host's address: not 0/8 ("this network"), loopback, multicast, 240/4 or
// broadcast.
bool is_unicast(const boost::asio::ip::address_v4& address) {
  const auto first = address.to_bytes()[0];
  return first != 0 && first != 127 && first < 224;
}

// Link-local addresses mean nothing without a link, and mapped ones are IPv4 addresses.
bool is_unicast(const boost::asio::ip::address_v6& address) {
  return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() &&
         !address.is_link_local() && !address.is_v4_mapped() && address.scope_id() == 0;
}

}  // namespace

bool is_host_address(const IpAddress& address) {
  if (is_reserved(address)) return false;
  return address.is_v4() ? is_unicast(address.to_v4()) : is_unicast(address.to_v6());
}

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

std::vector<IpAddress> sources_toward(const LoadBalancer& load_balancer, bool ipv6) {
  auto all = snat_of_version(load_balancer, ipv6);
  if (!all.empty()) return all;
  if (const auto vip = vip_of_version(load_balancer, ipv6)) all.push_back(*vip);
  return all;
}

bool may_have_other_version(const Pool& pool) {
  return pool.forwarding_mode == ForwardingMode::fullnat && pool.protocol != Protocol::proxyv2 &&
         transport(pool.protocol) != Protocol::sctp;
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
