#include "api/language/fleet.hpp"

#include "model/names.hpp"

namespace sluice::api {

Provisioning provisioning(const control::Fleet* fleet, const model::Object& object) {
  const Provisioning here{model::name(object.provisioning_status), object.provisioning_error};
  if (!fleet || object.provisioning_status != model::ProvisioningStatus::active) return here;
  auto elsewhere = fleet->elsewhere(object.id);
  if (!elsewhere.error.empty()) return {"ERROR", std::move(elsewhere.error)};
  return elsewhere.pending ? Provisioning{"PENDING_UPDATE", ""} : here;
}

boost::json::object render(const control::FleetState& fleet, const control::Peers* peers) {
  return {{"prefix", fleet.name},       {"state", fleet.state},
          {"reason", fleet.reason},     {"generation", fleet.generation},
          {"probe", fleet.probe},       {"nodes", fleet.nodes.size()},
          {"peer_key", fleet.peer_key}, {"replicas", render_replicas(peers)}};
}

boost::json::object render(const control::NodeState& node, const model::Model& model) {
  const bool drained = model.drained_nodes.contains(node.name);
  return {{"name", node.name},       {"state", announcing_state(node.announcing, drained)},
          {"version", node.version}, {"this_node", node.is_this},
          {"errors", node.errors},   {"applied_generation", node.applied},
          {"drained", drained}};
}

std::string announcing_state(const control::Announcing& announcing, bool drained) {
  const auto& told = announcing.state;
  if (drained && (told == "ANNOUNCING" || told == "ACTIVE")) return "DRAINING";
  if (drained && told == "STANDBY") return "DRAINED";
  if (!drained && (told == "DRAINING" || told == "DRAINED")) return "ANNOUNCING";
  return told;
}

boost::json::object render_gone(const std::string& node, const model::Model& model) {
  return {{"name", node},
          {"state", "GONE"},
          {"version", nullptr},
          {"this_node", false},
          {"errors", nullptr},
          {"applied_generation", nullptr},
          {"drained", model.drained_nodes.contains(node)}};
}

boost::json::object render_replicas(const control::Peers* peers) {
  boost::json::object counts;
  if (!peers) return counts;
  for (const auto& peer : peers->state().peers)
    counts.emplace(peer.name.empty() ? peer.address : peer.name, peer.replicas);
  return counts;
}

boost::json::object render(const control::PeerState& peer) {
  boost::json::object refused_datagrams, refused_records;
  for (const auto& [reason, count] : peer.refused_datagrams)
    refused_datagrams.emplace(reason, count);
  for (const auto& [reason, count] : peer.refused_records) refused_records.emplace(reason, count);
  return {{"address", peer.address},
          {"name", peer.name},
          {"state", peer.state},
          {"behind", peer.behind},
          {"missing", peer.missing},
          {"replicas", peer.replicas},
          {"sent", peer.sent},
          {"received", peer.received},
          {"sent_datagrams", peer.sent_datagrams},
          {"received_datagrams", peer.received_datagrams},
          {"repaired_datagrams", peer.repaired},
          {"unsent_datagrams", peer.unsent},
          {"resynchronisations", peer.resynchronisations},
          {"refused_datagrams", std::move(refused_datagrams)},
          {"refused_records", std::move(refused_records)}};
}

}  // namespace sluice::api
