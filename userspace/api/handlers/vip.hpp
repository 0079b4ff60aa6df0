// The VIPs of a new load balancer: which address a request asks for, by subnet, network, port or as
// itself, and which one it gets.
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

// Sets address, subnet and network of the new load balancer, and its additional VIPs; an address
// that was not given is allocated, so that nobody else in `model` has it. Where subnets are
// configured, every VIP is on one of its own and all are on one network, as the real service has
// it; without any, additional VIPs are addresses just as the first one. Addresses that `may_give`
// is false of are not allocated.
Result<void> set_vip(const model::Model& model, const model::Networks& networks,
                     const model::MayGive& may_give, const VipRequest& request,
                     model::LoadBalancer& out);

}  // namespace sluice::api
