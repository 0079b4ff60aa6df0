// Addresses of a subnet for those who did not choose one.
#pragma once

#include <functional>

#include "model/networks.hpp"

namespace sluice::model {

// May this address be given away, as far as others than the model know?
using MayGive = std::function<bool(const IpAddress&)>;

// As allocate_address() of networks.hpp, among those that `may_give` is true of.
Result<IpAddress> allocate_address(const Model& model, const Subnet& subnet,
                                   const MayGive& may_give);

}  // namespace sluice::model
