// VIPs of a new load balancer: the request names an address, or a subnet, network or port to
// allocate one from.
#pragma once

#include <optional>
#include <vector>

#include "api/language/attributes.hpp"
#include "model/free_address.hpp"
#include "model/networks.hpp"
#include "model/objects.hpp"

namespace sluice::api {

struct AdditionalVipRequest {
  std::optional<IpAddress> address;
  std::optional<Uuid> subnet;
};

struct VipRequest {
  bool force = false;  // a Sluice extension: also addresses that somebody else has
  std::optional<IpAddress> address;
  std::optional<Uuid> subnet, network, port;
  std::vector<AdditionalVipRequest> additional;
};

void read_vip(Attributes& in, VipRequest& out);

// Sets address, subnet and network of the new load balancer, and its additional VIPs. An address
// that was not given is allocated: one that nobody in `model` has and for which `may_give` is true.
// If subnets are configured, each VIP is on a subnet of its own and all are on one network, as in
// the real service; otherwise additional VIPs are just addresses, like the first one.
Result<void> set_vip(const model::Model& model, const model::Networks& networks,
                     const model::MayGive& may_give, const VipRequest& request,
                     model::LoadBalancer& out);

}  // namespace sluice::api
