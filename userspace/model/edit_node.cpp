#include "model/edit.hpp"

namespace sluice::model {

void drain_node(Model& model, const std::string& name, Timestamp now) {
  if (!model.drained_nodes.contains(name)) model.drained_nodes[name] = now;
}

void undrain_node(Model& model, const std::string& name) {
  model.drained_nodes.erase(name);
}

}  // namespace sluice::model
