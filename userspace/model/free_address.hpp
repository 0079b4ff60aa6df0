// Allocates addresses of a subnet for requests that did not choose one.
#pragma once

#include <functional>

#include "model/networks.hpp"

namespace sluice::model {

// Says whether the address may be allocated, by knowledge outside of the model.
using MayGive = std::function<bool(const IpAddress&)>;

// Like allocate_address() of networks.hpp, but only of addresses for which `may_give` is true.
Result<IpAddress> allocate_address(const Model& model, const Subnet& subnet,
                                   const MayGive& may_give);

}  // namespace sluice::model
