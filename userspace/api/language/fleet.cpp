#include "api/language/fleet.hpp"

namespace sluice::api {

boost::json::object render(const control::FleetState& fleet) {
  return {{"prefix", fleet.name},
          {"state", fleet.state},
          {"reason", fleet.reason},
          {"generation", fleet.generation},
          {"nodes", fleet.nodes.size()}};
}

boost::json::object render(const control::NodeState& node, const model::Model& model) {
  return {{"name", node.name},         {"version", node.version},
          {"this_node", node.is_this}, {"applied_generation", node.applied},
          {"errors", node.errors},     {"drained", model.drained_nodes.contains(node.name)}};
}

}  // namespace sluice::api
