// The node, in Sluice's own part of the API:
//
//   GET /v1/node                                  what it announces to routers, and why not
//   PUT /v1/node {"node": {"drained": true}}      drains it, or ends that
//   GET /v1/nodes                                 the live nodes of its fleet
//   GET /v1/cluster                               whether it follows the fleet's state, and why not
//   POST /v1/cluster/restore                      makes this node's state the fleet's (routes.cpp)
//
// A drain is a part of the desired state: it is stored, and outlives a restart.
#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/language/fleet.hpp"
#include "base/version.hpp"
#include "model/edit.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

// Why no VIP is announced; empty: they are. A drain that has just ended is none any more, although
// the routes come back only in the loop's next turns.
std::string reason_of(const control::VipRoutes::Standing& standing,
                      const control::DrainState& state) {
  const bool over = standing.drained && state.drain == control::Drain::none;
  return over ? std::string() : standing.reason;
}

// One of: LOCAL (VIPs are not announced to routers), ANNOUNCING, DRAINING, DRAINED, WITHDRAWN (for
// another reason, which is told).
std::string_view state_of(const Context& context, const control::DrainState& state) {
  if (!context.vip_routes) return "LOCAL";
  if (state.drain == control::Drain::drained) return "DRAINED";
  if (!reason_of(context.vip_routes->standing(), state).empty()) return "WITHDRAWN";
  return state.drain == control::Drain::draining ? "DRAINING" : "ANNOUNCING";
}

json::object render_node(const Context& context) {
  auto& controller = context.controller;
  const auto drain =
      control::drain_state(controller.model(), context.node, std::chrono::system_clock::now());
  const auto standing =
      context.vip_routes ? context.vip_routes->standing() : control::VipRoutes::Standing{};
  json::object node{{"name", context.node},
                    {"state", state_of(context, drain)},
                    {"reason", reason_of(standing, drain)},
                    {"announced_ipv4_vips", standing.ipv4},
                    {"announced_ipv6_vips", standing.ipv6},
                    {"seconds_until_withdrawal", nullptr},
                    {"connections", nullptr}};
  if (drain.drain == control::Drain::draining)
    node["seconds_until_withdrawal"] = std::chrono::ceil<std::chrono::seconds>(drain.left).count();
  if (const auto counters = controller.data_plane().all_counters()) {
    std::uint64_t connections = 0;
    for (const auto& [id, of_listener] : counters->listeners)
      connections += of_listener.active_flows();
    node["connections"] = connections;
  }
  return node;
}

Reply shown(const Call& call) {
  return {200, json::object{{"node", render_node(call.context)}}};
}

}  // namespace

Result<Reply> list_nodes(const Call& call) {
  json::array nodes;
  const auto& model = call.context.controller.model();
  if (const auto* fleet = call.context.fleet) {
    for (const auto& node : fleet->state().nodes) nodes.push_back(render(node, model));
  } else {
    control::NodeState alone;
    alone.name = call.context.node;
    alone.version = version;
    alone.is_this = true;
    alone.applied = call.context.controller.applied_generation();
    nodes.push_back(render(alone, model));
  }
  return Reply{200, json::object{{"nodes", std::move(nodes)}}};
}

Result<Reply> show_cluster(const Call& call) {
  if (call.request.method == "POST" && !call.context.fleet)
    return fail(ErrorKind::conflict, "This node is alone.", "start sluiced with --cluster");
  json::object cluster{{"prefix", nullptr},
                       {"state", "ALONE"},
                       {"reason", "sluiced was started without --cluster"},
                       {"generation", call.context.controller.applied_generation()},
                       {"nodes", 1}};
  if (const auto* fleet = call.context.fleet) cluster = render(fleet->state());
  return Reply{200, json::object{{"cluster", std::move(cluster)}}};
}

Result<Reply> show_node(const Call& call) {
  return shown(call);
}

Result<Reply> update_node(const Call& call) {
  const auto body = unwrap(call.request, "node", "node");
  if (!body) return tl::unexpected(body.error());
  const auto& name = call.context.node;
  bool drained = call.context.controller.model().drained_nodes.contains(name);
  Attributes in(*body, Purpose::update, "node");
  in.boolean("drained", drained, false);
  if (auto done = in.finish(); !done) return tl::unexpected(done.error());
  if (drained && !call.context.vip_routes) {
    return fail(ErrorKind::conflict,
                "This node does not announce its VIPs to routers, so it can't be drained.",
                "start sluiced with --announce-routes");
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
  return shown(call);
}

}  // namespace sluice::api
