// sluicectl node: this machine as one of several that announce VIPs to routers.
#include <boost/json.hpp>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

const Resource& node_resource() {
  static const Resource resource = {
      .singular = "node",
      .wrapper = "node",
      .path = "/v1/node",
      .command = "node",
      .rows = {"name", "state", "announced_ipv4_vips", "announced_ipv6_vips", "connections"},
      .optional_rows = {"reason", "seconds_until_withdrawal"}};
  return resource;
}

Result<Answer> show_node(const Call& call) {
  const auto& resource = node_resource();
  const auto node = call.client.fetch(resource.path, resource.wrapper);
  if (!node) return tl::unexpected(about("show node", node.error()));
  return to_record(*node, resource);
}

Result<Answer> list_nodes(const Call& call) {
  const auto nodes = call.client.list("/v1/nodes", "nodes");
  if (!nodes) return tl::unexpected(about("list nodes", nodes.error()));
  Listing listing{call.verb.columns, {}};
  for (const auto& item : *nodes) {
    const auto* node = item.if_object();
    if (!node) continue;
    std::vector<Cell> row;
    for (const auto& column : call.verb.columns) row.push_back(to_cell(*node, column));
    listing.rows.push_back(std::move(row));
  }
  return listing;
}

Result<Answer> set_drained(const Call& call, bool drained) {
  const auto& resource = node_resource();
  const auto node =
      call.client.send("PUT", resource.path, resource.wrapper, {{"drained", drained}});
  if (!node) return tl::unexpected(about(drained ? "drain node" : "undrain node", node.error()));
  return to_record(*node, resource);
}

Result<Answer> drain_node(const Call& call) {
  return set_drained(call, true);
}

Result<Answer> undrain_node(const Call& call) {
  return set_drained(call, false);
}

Noun make_noun() {
  Noun noun{.name = "node",
            .summary = "this machine, as one of several behind a router",
            .resource = &node_resource()};
  noun.verbs = {
      {.name = "list",
       .summary = "the live nodes with the same desired state (see sluiced --cluster), and how far "
                  "each has applied it",
       .output = Output::listing,
       .columns = {"name", "version", "this_node", "applied_generation", "errors", "drained"},
       .run = list_nodes,
       .examples = {"sluicectl node list", "sluicectl node list -f value -c name"}},
      {.name = "show",
       .summary = "what it announces to routers (see sluiced --announce-routes), or why not",
       .output = Output::record,
       .run = show_node,
       .examples = {"sluicectl node show", "sluicectl node show -f value -c state"}},
      {.name = "drain",
       .summary = "have routers prefer other nodes, and withdraw the VIPs ten seconds later; also "
                  "after a restart, until 'undrain'",
       .output = Output::record,
       .run = drain_node,
       .examples = {"sluicectl node drain"}},
      {.name = "undrain",
       .summary = "announce the VIPs again",
       .output = Output::record,
       .run = undrain_node,
       .examples = {"sluicectl node undrain"}}};
  return noun;
}

}  // namespace

const Noun& node_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
