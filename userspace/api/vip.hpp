// The VIP of a new load balancer: which address a request asks for, by subnet, network, port or as
// itself, and which one it gets.
#pragma once

#include <optional>

#include "api/attributes.hpp"
#include "model/networks.hpp"
#include "model/objects.hpp"

namespace sluice::api {

struct VipRequest {
  std::optional<IpAddress> address;
  std::optional<Uuid> subnet, network, port;
};

void read_vip(Attributes& in, VipRequest& out);

// Sets address, subnet and network of the new load balancer; an address that was not given is
// allocated, so that nobody else in `model` has it.
Result<void> set_vip(const model::Model& model, const model::Networks& networks,
                     const VipRequest& request, model::LoadBalancer& out);

}  // namespace sluice::api
