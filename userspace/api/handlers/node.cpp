// The node, in Sluice's own part of the API:
//
//   GET /v1/node                                  what it announces to routers, and why not
//   PUT /v1/node {"node": {"drained": true}}      drains it, or ends that
//   GET /v1/nodes                                 the nodes of its fleet
//   GET and PUT /v1/nodes/NAME                    the same as /v1/node for any of them
//   DELETE /v1/nodes/NAME                         forgets one that is gone (routes.cpp)
//   GET /v1/peers                                 the nodes that it tells of connections
//   GET /v1/cluster                               whether it follows the fleet's state, and why not
//   POST /v1/cluster/restore                      makes this node's state the fleet's (routes.cpp)
//   POST /v1/cluster/rotate-peer-key              exchanges the peers' key (routes.cpp)
//
// A drain is a part of the desired state: it is stored, and outlives a restart.
#include <fmt/format.h>

#include <algorithm>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/language/fleet.hpp"
#include "base/version.hpp"
#include "model/edit.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

// The live node of that name, or null.
const control::NodeState* find_node(const control::FleetState& fleet, std::string_view name) {
  const auto found = std::ranges::find(fleet.nodes, name, &control::NodeState::name);
  return found == fleet.nodes.end() ? nullptr : &*found;
}

// Without --cluster this node is the only one.
control::FleetState fleet_of(const Call& call) {
  if (const auto* fleet = call.context.fleet) return fleet->state();
  control::NodeState alone{.name = call.context.node,
                           .version = std::string(version),
                           .is_this = true,
                           .applied = call.context.controller.applied_generation()};
  if (const auto* routes = call.context.vip_routes) alone.announcing = routes->announcing();
  control::FleetState state;
  state.nodes.push_back(std::move(alone));
  return state;
}

control::Announcing announcing_here(const Call& call) {
  if (const auto* routes = call.context.vip_routes) return routes->announcing();
  const auto fleet = fleet_of(call);
  const auto* node = find_node(fleet, call.context.node);
  return node ? node->announcing : control::Announcing{};
}

json::value connections_of(control::DataPlane& data_plane) {
  const auto counters = data_plane.all_listener_counters();
  if (!counters) return nullptr;
  std::uint64_t connections = 0;
  for (const auto& [id, of_listener] : *counters) connections += of_listener.active_flows();
  return connections;
}

// Adds what the node announces. What has just been asked for counts already.
void add_announcing(json::object& node, const control::Announcing& announcing, bool drained) {
  node["state"] = announcing_state(announcing, drained);
  const bool is_over = !drained && announcing.state == "DRAINED";
  node["reason"] = is_over ? std::string() : announcing.reason;
  node["announced_ipv4_vips"] = announcing.ipv4;
  node["announced_ipv6_vips"] = announcing.ipv6;
}

// Adds whose place in front of the members the node has: its own SNAT addresses, and those of nodes
// that are gone, for which this one answers.
void add_snat_addresses(json::object& node, const Call& call, const std::string& name) {
  json::array own, replaced;
  for (const auto& [address, of_node] : call.context.controller.node_snat().addresses) {
    if (of_node.node == name) own.emplace_back(address.to_string());
    if (of_node.role == control::SnatRole::replaces) replaced.emplace_back(address.to_string());
  }
  node["snat_addresses"] = std::move(own);
  node["replaced_snat_addresses"] =
      name == call.context.node ? json::value(std::move(replaced)) : json::value(nullptr);
}

json::object render_this_node(const Call& call) {
  const auto& context = call.context;
  const auto* routes = context.vip_routes;
  json::object node{{"name", context.node}};
  add_announcing(node, announcing_here(call),
                 context.controller.model().drained_nodes.contains(context.node));
  node["seconds_until_withdrawal"] = nullptr;
  if (const auto left = routes ? routes->until_withdrawn() : std::nullopt)
    node["seconds_until_withdrawal"] = std::chrono::ceil<std::chrono::seconds>(*left).count();
  node["connections"] = connections_of(context.controller.data_plane());
  add_snat_addresses(node, call, context.node);
  return node;
}

// What another node has told, or that it is gone.
json::object render_other_node(const Call& call, const control::NodeState* live,
                               const std::string& name, bool drained) {
  json::object node{{"name", name}};
  if (live) {
    add_announcing(node, live->announcing, drained);
  } else {
    add_announcing(node, {.state = "GONE", .reason = "it does not renew its entry in etcd"},
                   drained);
  }
  node["seconds_until_withdrawal"] = nullptr;
  node["connections"] = nullptr;
  add_snat_addresses(node, call, name);
  return node;
}

bool is_known(const Call& call, const control::FleetState& fleet, const std::string& name) {
  return find_node(fleet, name) || std::ranges::count(fleet.gone, name) != 0 ||
         call.context.controller.model().drained_nodes.contains(name);
}

tl::unexpected<Error> unknown_node(const control::FleetState& fleet, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& node : fleet.nodes) names.push_back(node.name);
  names.insert(names.end(), fleet.gone.begin(), fleet.gone.end());
  return fail(ErrorKind::not_found, fmt::format("No node is called {}.", name),
              fmt::format("there are: {}", fmt::join(names, ", ")));
}

// The node of the path; that of this daemon if it has none.
std::string name_in(const Call& call) {
  return call.ids.empty() ? call.context.node : call.ids[0];
}

Result<Reply> shown(const Call& call, const std::string& name) {
  if (name == call.context.node) return Reply{200, json::object{{"node", render_this_node(call)}}};
  const auto fleet = fleet_of(call);
  if (!is_known(call, fleet, name)) return unknown_node(fleet, name);
  const bool drained = call.context.controller.model().drained_nodes.contains(name);
  return Reply{
      200, json::object{{"node", render_other_node(call, find_node(fleet, name), name, drained)}}};
}

// A node that answers for its VIPs in any case has nothing to hand over. One that is gone is
// drained when it comes back.
Result<void> can_be_drained(const Call& call, const control::FleetState& fleet,
                            const std::string& name) {
  const auto* node = find_node(fleet, name);
  const bool is_local = name == call.context.node ? announcing_here(call).state == "LOCAL"
                                                  : node && node->announcing.state == "LOCAL";
  if (!is_local) return {};
  return fail(ErrorKind::conflict,
              fmt::format("{} does not announce its VIPs to routers, so it can't be drained.",
                          name.empty() ? "This node" : "Node " + name),
              "start its sluiced with --announce-routes or --standby-group");
}

}  // namespace

Result<Reply> list_nodes(const Call& call) {
  json::array nodes;
  const auto& model = call.context.controller.model();
  const auto fleet = fleet_of(call);
  for (const auto& node : fleet.nodes) nodes.push_back(render(node, model));
  for (const auto& name : fleet.gone) nodes.push_back(render_gone(name, model));
  return Reply{200, json::object{{"nodes", std::move(nodes)}}};
}

Result<Reply> list_peers(const Call& call) {
  json::array peers;
  if (call.context.peers) {
    for (const auto& peer : call.context.peers->state().peers) peers.push_back(render(peer));
  }
  return Reply{200, json::object{{"peers", std::move(peers)}}};
}

Result<Reply> show_cluster(const Call& call) {
  if (call.request.method == "POST" && !call.context.fleet)
    return fail(ErrorKind::conflict, "This node is alone.", "start sluiced with --cluster");
  json::object cluster{{"prefix", nullptr},
                       {"state", "ALONE"},
                       {"reason", "sluiced was started without --cluster"},
                       {"generation", call.context.controller.applied_generation()},
                       {"probe", "every"},
                       {"nodes", 1},
                       {"replicas", render_replicas(call.context.peers)}};
  if (const auto* fleet = call.context.fleet) cluster = render(fleet->state(), call.context.peers);
  return Reply{200, json::object{{"cluster", std::move(cluster)}}};
}

// Another node is asked how many connections it has.
Result<Reply> show_node(const Call& call) {
  const auto name = name_in(call);
  auto reply = shown(call, name);
  if (!reply || !call.context.fleet || name == call.context.node) return reply;
  Reply later;
  later.asked = std::make_shared<Reply::Asked>();
  later.asked->connections = true;
  later.asked->reply = [name, shown = std::move(*reply)](const control::FleetCounts& counts) {
    auto with_connections = shown;
    const auto found = counts.nodes.find(name);
    if (found != counts.nodes.end() && std::ranges::count(counts.missing, name) == 0)
      with_connections.body->at("node").at("connections") = found->second.connections;
    return Result<Reply>(with_connections);
  };
  return later;
}

Result<Reply> update_node(const Call& call) {
  const auto name = name_in(call);
  const auto fleet = fleet_of(call);
  if (name != call.context.node && !is_known(call, fleet, name)) return unknown_node(fleet, name);
  const auto body = unwrap(call.request, "node", "node");
  if (!body) return tl::unexpected(body.error());
  bool drained = call.context.controller.model().drained_nodes.contains(name);
  Attributes in(*body, Purpose::update, "node");
  in.boolean("drained", drained, false);
  if (auto done = in.finish(); !done) return tl::unexpected(done.error());
  if (drained) {
    if (auto can = can_be_drained(call, fleet, name); !can) return tl::unexpected(can.error());
  }
  auto changed = change(call, [&](model::Model& model) -> Result<void> {
    if (drained) {
      model::drain_node(model, name, now());
    } else {
      model::undrain_node(model, name);
    }
    return {};
  });
  if (!changed) return tl::unexpected(changed.error());
  return shown(call, name);
}

// Takes back a drain of the node. The rest that is known of it is gone already (routes.cpp).
Result<Reply> remove_node(const Call& call) {
  const auto name = call.ids[0];
  if (!call.context.fleet)
    return fail(ErrorKind::conflict, "This node is alone.", "start sluiced with --cluster");
  return remove(call, [&](model::Model& model) -> Result<void> {
    model::undrain_node(model, name);
    return {};
  });
}

}  // namespace sluice::api
