// sluicectl node: the machines behind a router, of which this is one.
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
      .collection = "nodes",
      .path = "/v1/nodes",
      .command = "node",
      .rows = {"name", "state", "announced_ipv4_vips", "announced_ipv6_vips", "connections"},
      .optional_rows = {"reason", "seconds_until_withdrawal", "snat_addresses",
                        "replaced_snat_addresses"}};
  return resource;
}

// The path of the node that was named; of this one if none was.
std::string path_of(const Call& call) {
  const auto name = call.invocation.positional("NODE");
  return name.empty() ? "/v1/node" : node_resource().path + "/" + escaped(name);
}

// "drain node lb2"
std::string doing(const Call& call, const std::string& what) {
  const auto name = call.invocation.positional("NODE");
  return what + " node" + (name.empty() ? "" : " " + name);
}

Result<Answer> show_node(const Call& call) {
  const auto& resource = node_resource();
  const auto node = call.client.fetch(path_of(call), resource.wrapper);
  if (!node) return tl::unexpected(about(doing(call, "show"), node.error()));
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
      call.client.send("PUT", path_of(call), resource.wrapper, {{"drained", drained}});
  if (!node) return tl::unexpected(about(doing(call, drained ? "drain" : "undrain"), node.error()));
  return to_record(*node, resource);
}

Result<Answer> drain_node(const Call& call) {
  return set_drained(call, true);
}

Result<Answer> undrain_node(const Call& call) {
  return set_drained(call, false);
}

Result<Answer> remove_node(const Call& call) {
  const auto done = call.client.request("DELETE", path_of(call));
  if (!done) return tl::unexpected(about(doing(call, "remove"), done.error()));
  return Answer{};
}

Noun make_noun() {
  const Positional any{.name = "NODE", .resource = &node_resource(), .is_optional = true};
  auto one = any;
  one.is_optional = false;
  Noun noun{
      .name = "node",
      .summary = "the machines behind a router that are one load balancer; without NODE this one",
      .resource = &node_resource()};
  noun.verbs = {
      {.name = "list",
       .summary =
           "the nodes with the same desired state (see sluiced --cluster), what each announces, "
           "and how far it has applied the state; those that are GONE until they are removed",
       .output = Output::listing,
       .columns = {"name", "state", "version", "this_node", "applied_generation", "errors",
                   "drained"},
       .run = list_nodes,
       .examples = {"sluicectl node list", "sluicectl node list -f value -c name"}},
      {.name = "show",
       .summary = "what it announces to routers (see sluiced --announce-routes), or why not",
       .positionals = {any},
       .output = Output::record,
       .run = show_node,
       .examples = {"sluicectl node show", "sluicectl node show lb2 -f value -c state"}},
      {.name = "drain",
       .summary = "have routers prefer other nodes, and withdraw the VIPs ten seconds later; also "
                  "after a restart, until 'undrain'",
       .positionals = {any},
       .output = Output::record,
       .run = drain_node,
       .examples = {"sluicectl node drain", "sluicectl node drain lb2"}},
      {.name = "undrain",
       .summary = "announce the VIPs again",
       .positionals = {any},
       .output = Output::record,
       .run = undrain_node,
       .examples = {"sluicectl node undrain", "sluicectl node undrain lb2"}},
      {.name = "remove",
       .summary = "forget a node that is gone for good, and its drain",
       .positionals = {one},
       .run = remove_node,
       .examples = {"sluicectl node remove lb3"}}};
  return noun;
}

}  // namespace

const Noun& node_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
