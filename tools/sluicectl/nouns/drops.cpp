// sluicectl drops: the fate of packets, by reason.
#include <boost/json.hpp>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

bool was_seen(const Cell& packets) {
  const auto* count = std::get_if<std::int64_t>(&packets);
  return !count || *count != 0;
}

Result<Answer> show_drops(const Call& call) {
  const auto reasons = call.client.list("/v1/drops", "reasons");
  if (!reasons) return tl::unexpected(about("drops", reasons.error()));
  Listing listing{call.verb.columns, {}};
  for (const auto& item : *reasons) {
    const auto* reason = item.if_object();
    if (!reason) continue;
    const auto packets = to_cell(*reason, "packets");
    if (!call.invocation.has("all") && !was_seen(packets)) continue;
    listing.rows.push_back({to_cell(*reason, "label"), to_cell(*reason, "verdict"), packets,
                            to_cell(*reason, "description")});
  }
  return listing;
}

Noun make_noun() {
  Noun noun{.name = "drops", .summary = "what became of packets, by reason"};
  noun.verbs = {
      {.summary = "packets by reason, each with what it means; only reasons that occurred",
       .options = {flag(Kind::local, "all", "the others too")},
       .output = Output::listing,
       .columns = {"reason", "verdict", "packets", "description"},
       .run = show_drops,
       .examples = {"sluicectl drops", "sluicectl drops --all -f json"}}};
  return noun;
}

}  // namespace

const Noun& drops_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
