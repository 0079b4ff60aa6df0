// Fleet: shows a fleet, its nodes and peers as /v1/cluster, /v1/nodes and /v1/peers do.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "control/fleet.hpp"
#include "control/peers.hpp"
#include "model/objects.hpp"

namespace sluice::api {

// An object's provisioning status, and the reason of ERROR. In a fleet (null: there is none) it is
// ACTIVE when it is at all live nodes.
struct Provisioning {
  std::string_view status;
  std::string error;
};
Provisioning provisioning(const control::Fleet* fleet, const model::Object& object);

// The fleet as one of its nodes sees it, which has these peers (null: none).
boost::json::object render(const control::FleetState& fleet, const control::Peers* peers);
// A live node. Whether it is drained is desired state.
boost::json::object render(const control::NodeState& node, const model::Model& model);
// What a node announces, from when a drain was asked for or ended, which the node tells later.
std::string announcing_state(const control::Announcing& announcing, bool drained);
// A node that has been here and does not live.
boost::json::object render_gone(const std::string& node, const model::Model& model);
// How many connections of each peer this node has replicas of, by the peer's name, or its address
// until that is known. `peers`: null if there are none.
boost::json::object render_replicas(const control::Peers* peers);
// A node that is told of connections.
boost::json::object render(const control::PeerState& peer);

}  // namespace sluice::api
