#include <algorithm>

#include "model/objects.hpp"
#include "model/vips.hpp"

namespace sluice::model {
namespace {

Facets common(const Object& object) {
  Facets facets{{Facet::any}};
  if (object.provisioning_status != ProvisioningStatus::active) {
    facets.push_back({Facet::unsettled});
  }
  return facets;
}

}  // namespace

// An IPv4 address and an IPv6 address may be the same subject: whoever asks compares the objects'
// own.
Uuid subject(const IpAddress& address) {
  Uuid subject{};
  if (address.is_v4()) {
    std::ranges::copy(address.to_v4().to_bytes(), subject.begin());
  } else {
    std::ranges::copy(address.to_v6().to_bytes(), subject.begin());
  }
  return subject;
}

Facets facets(const LoadBalancer& object) {
  auto facets = common(object);
  for (const auto& address : own_addresses(object)) {
    facets.push_back({Facet::address, subject(address)});
  }
  if (!object.additional_vips.empty()) facets.push_back({Facet::several_vips});
  return facets;
}

Facets facets(const Listener& object) {
  auto facets = common(object);
  facets.push_back({Facet::parent, object.load_balancer_id});
  if (object.default_pool_id) facets.push_back({Facet::default_pool, *object.default_pool_id});
  if (object.connection_limit >= 0) facets.push_back({Facet::limited});
  return facets;
}

Facets facets(const Pool& object) {
  auto facets = common(object);
  facets.push_back({Facet::parent, object.load_balancer_id});
  return facets;
}

Facets facets(const Member& object) {
  auto facets = common(object);
  facets.push_back({Facet::parent, object.pool_id});
  facets.push_back({Facet::address, subject(object.address)});
  if (object.drain_until) facets.push_back({Facet::draining});
  return facets;
}

Facets facets(const HealthMonitor& object) {
  auto facets = common(object);
  facets.push_back({Facet::parent, object.pool_id});
  return facets;
}

Facets facets(const FloatingIp& object) {
  auto facets = common(object);
  if (object.load_balancer_id) facets.push_back({Facet::parent, *object.load_balancer_id});
  facets.push_back({Facet::address, subject(object.address)});
  return facets;
}

}  // namespace sluice::model
