// sluicectl peer: the nodes that this one tells of its connections.
#include <boost/json.hpp>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

Result<Answer> list_peers(const Call& call) {
  const auto peers = call.client.list("/v1/peers", "peers");
  if (!peers) return tl::unexpected(about("list peers", peers.error()));
  Listing listing{call.verb.columns, {}};
  for (const auto& item : *peers) {
    const auto* peer = item.if_object();
    if (!peer) continue;
    std::vector<Cell> row;
    for (const auto& column : call.verb.columns) row.push_back(to_cell(*peer, column));
    listing.rows.push_back(std::move(row));
  }
  return listing;
}

Noun make_noun() {
  Noun noun{.name = "peer",
            .summary = "the nodes that this one tells of its connections, and hears of theirs"};
  noun.verbs = {
      {.name = "list",
       .summary = "each with its state: CONNECTING (no answer yet), SILENT (not heard of for a "
                  "second), RESYNCHRONISING (one of the two does not have all connections of the "
                  "other yet) or FOLLOWING; the records that it has not acknowledged, and its "
                  "connections that are here (see sluiced --peer)",
       .output = Output::listing,
       .columns = {"address", "name", "state", "behind", "missing", "replicas", "sent", "received"},
       .run = list_peers,
       .examples = {"sluicectl peer list", "sluicectl peer list -f value -c name -c state"}}};
  return noun;
}

}  // namespace

const Noun& peer_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
