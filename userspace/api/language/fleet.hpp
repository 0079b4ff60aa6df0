// Fleet: shows a fleet and its nodes as /v1/cluster and /v1/nodes do.
#pragma once

#include <boost/json/object.hpp>

#include "control/fleet.hpp"
#include "model/objects.hpp"

namespace sluice::api {

// The fleet as one of its nodes sees it.
boost::json::object render(const control::FleetState& fleet);
// A live node. Whether it is drained is desired state.
boost::json::object render(const control::NodeState& node, const model::Model& model);

}  // namespace sluice::api
