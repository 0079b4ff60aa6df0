// sluicectl cluster: the desired state that this node shares with others.
#include <boost/json.hpp>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

const Resource& cluster_resource() {
  static const Resource resource = {.singular = "cluster",
                                    .wrapper = "cluster",
                                    .path = "/v1/cluster",
                                    .command = "cluster",
                                    .rows = {"state", "generation", "nodes", "probe"},
                                    .optional_rows = {"prefix", "reason", "peer_key", "replicas"}};
  return resource;
}

Result<Answer> show_status(const Call& call) {
  const auto& resource = cluster_resource();
  const auto cluster = call.client.fetch(resource.path, resource.wrapper);
  if (!cluster) return tl::unexpected(about("cluster status", cluster.error()));
  return to_record(*cluster, resource);
}

Result<Answer> act(const Call& call, const std::string& action) {
  const auto& resource = cluster_resource();
  const auto cluster = call.client.send("POST", resource.path + "/" + action, resource.wrapper, {});
  if (!cluster) return tl::unexpected(about("cluster " + action, cluster.error()));
  return to_record(*cluster, resource);
}

Result<Answer> restore(const Call& call) {
  return act(call, "restore");
}

Result<Answer> rotate_peer_key(const Call& call) {
  return act(call, "rotate-peer-key");
}

Noun make_noun() {
  Noun noun{.name = "cluster",
            .summary = "the desired state that several nodes share (see sluiced --cluster)",
            .resource = &cluster_resource()};
  noun.verbs = {
      {.name = "status",
       .summary = "whether this node follows it: FOLLOWING, CONNECTING, CUT_OFF (etcd can't be "
                  "reached) or REFUSED (etcd's state is older, empty or another one), and why",
       .output = Output::record,
       .run = show_status,
       .examples = {"sluicectl cluster status", "sluicectl cluster status -f value -c state"}},
      {.name = "restore",
       .summary = "write this node's state over what etcd has, if that is REFUSED",
       .output = Output::record,
       .run = restore,
       .examples = {"sluicectl cluster restore"}},
      {.name = "rotate-peer-key",
       .summary = "exchange the key by which nodes seal what they tell each other of connections: "
                  "they use the new one when all of them have it, and then drop the old one; "
                  "'cluster status' says whom it waits for",
       .output = Output::record,
       .run = rotate_peer_key,
       .examples = {"sluicectl cluster rotate-peer-key"}}};
  return noun;
}

}  // namespace

const Noun& cluster_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
