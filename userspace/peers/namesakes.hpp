// Namesakes: finds the listener and member of a connection that names others, by its addresses: two
// nodes without a common desired state have the same load balancers under different ids. Pure.
#pragma once

#include "maps/flow_image.h"
#include "model/objects.hpp"

namespace sluice::peers {

// Replaces the ids that the model doesn't have by those of the listener at the connection's VIP and
// port, and of the member at its member's address and port. Connections whose member answers the
// client directly don't name its address: they stay as they are.
void find_namesakes(const model::Model& model, sluice_flow_image& image);

}  // namespace sluice::peers
