// sluicectl flows, explain: show the data plane's connections, and what it would do with a packet.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/uuid.hpp"
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

// Finds a member; its name is unique within its pool only.
Result<std::string> member_id(const Call& call, const std::string& pool_id) {
  const auto typed = call.invocation.value("member");
  if (parse_uuid(typed)) return typed;
  if (pool_id.empty())
    return fail(ErrorKind::invalid, "a member's name is known within its pool only",
                "give --pool too, or the member's id");
  const auto& resource = member_resource();
  return call.client.resolve(resource, with_parent(resource.path, pool_id), typed,
                             resource.command + " list " + call.invocation.value("pool"));
}

// "?listener_id=...&client=..."
Result<std::string> query_of(const Call& call) {
  std::vector<std::string> parts;
  std::string pool_id;
  for (const auto* resource : {&listener_resource(), &pool_resource()}) {
    const auto& name = resource->singular;
    if (!call.invocation.has(name)) continue;
    const auto id = call.client.resolve(*resource, resource->path, call.invocation.value(name),
                                        resource->command + " list");
    if (!id) return tl::unexpected(id.error());
    if (resource == &pool_resource()) pool_id = *id;
    parts.push_back(name + "_id=" + *id);
  }
  if (call.invocation.has("member")) {
    const auto id = member_id(call, pool_id);
    if (!id) return tl::unexpected(id.error());
    parts.push_back("member_id=" + *id);
  }
  for (const auto* name : {"client", "limit"})
    if (call.invocation.has(name))
      parts.push_back(fmt::format("{}={}", name, escaped(call.invocation.value(name))));
  if (call.invocation.has("all")) parts.push_back("all=true");
  return parts.empty() ? std::string() : fmt::format("?{}", fmt::join(parts, "&"));
}

Result<Answer> list_flows(const Call& call) {
  const auto query = query_of(call);
  if (!query) return tl::unexpected(query.error());
  const auto answer = call.client.request("GET", "/v1/flows" + *query);
  if (!answer) return tl::unexpected(about("list flows", answer.error()));
  const auto* body = answer->if_object();
  const auto* flows = body ? body->if_contains("flows") : nullptr;
  if (!flows || !flows->is_array())
    return fail(ErrorKind::internal, "the answer to GET /v1/flows has no 'flows'");
  auto listing = to_listing(flows->get_array(), {}, call.verb.columns);
  if (const auto* more = body->if_contains("more"); more && more->is_bool() && more->get_bool())
    listing.note = fmt::format("there are more than these {}: filter them, or raise --limit",
                               listing.rows.size());
  return listing;
}

Result<Answer> list_removed(const Call& call) {
  const auto members = call.client.list("/v1/removed-members", "removed_members");
  if (!members) return tl::unexpected(about("list removed members", members.error()));
  return to_listing(*members, {}, call.verb.columns);
}

Result<Answer> flush_flows(const Call& call) {
  const auto query = query_of(call);
  if (!query) return tl::unexpected(query.error());
  const auto answer = call.client.request("DELETE", "/v1/flows" + *query);
  if (!answer) return tl::unexpected(about("flush flows", answer.error()));
  Resource shape;
  shape.rows = call.verb.columns;
  return to_record(answer->is_object() ? answer->get_object() : json::object(), shape);
}

Result<Answer> explain(const Call& call) {
  auto target = "/v1/explain?from=" + escaped(call.invocation.value("from")) +
                "&to=" + escaped(call.invocation.value("to"));
  if (call.invocation.has("proto")) {
    auto protocol = call.invocation.value("proto");
    for (auto& c : protocol) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    target += "&protocol=" + escaped(protocol);
  }
  const auto found = call.client.fetch(target, "explanation");
  if (!found) return tl::unexpected(about("explain", found.error()));
  Resource shape;
  shape.rows = call.verb.columns;
  return to_record(*found, shape);
}

std::vector<Option> filters() {
  const auto local = [](const char* name, const char* value, const char* help) {
    return option(Kind::local, name, value, help);
  };
  return {local("listener", "NAME-OR-ID", "only those of this listener"),
          local("pool", "NAME-OR-ID", "only those of this pool"),
          local("member", "NAME-OR-ID", "only those to this member (a name needs --pool)"),
          local("client", "ADDRESS[/BITS]", "only those from there")};
}

Noun make_flows() {
  Noun noun{.name = "flows", .summary = "live connections"};
  noun.verbs = {
      {.name = "list",
       .summary = "client, VIP, member, state, and seconds since the client's last packet",
       .options = filters() + std::vector<Option>{option(Kind::integer, "limit", "COUNT",
                                                         "at most this number (default 1000)")},
       .output = Output::listing,
       .columns = {"protocol", "client", "vip", "member", "state", "idle"},
       .run = list_flows,
       .examples = {"sluicectl flows list --client 192.0.2.0/24",
                    "sluicectl flows list --sort-column idle --sort-descending"}},
      {.name = "removed",
       .summary = "deleted members that still have connections, and the seconds until these end",
       .output = Output::listing,
       .columns = {"id", "address", "protocol_port", "connections_left", "drain_seconds_left"},
       .run = list_removed,
       .examples = {"sluicectl flows removed"}},
      {.name = "flush",
       .summary = "forget connections: the next packet of each finds no one that knows it",
       .options = filters() + std::vector<Option>{flag(Kind::local, "all", "every connection")},
       .groups = {at_least_one({"listener", "pool", "member", "client", "all"})},
       .output = Output::record,
       .columns = {"flushed"},
       .run = flush_flows,
       .examples = {"sluicectl flows flush --client 192.0.2.7"}}};
  return noun;
}

Noun make_explain() {
  Noun noun{.name = "explain", .summary = "what would become of a packet, and why"};
  noun.verbs = {
      {.summary = "asks the loaded program about a first packet; nothing is counted or remembered",
       .options = {mandatory(option(Kind::local, "from", "ADDRESS:PORT", "the client")),
                   mandatory(option(Kind::local, "to", "ADDRESS:PORT", "the VIP")),
                   option(Kind::local, "proto", "PROTOCOL", "tcp (default), udp or sctp")},
       .output = Output::record,
       .columns = {"verdict", "reason", "description", "listener", "pool", "member", "source",
                   "destination", "interface"},
       .run = explain,
       .examples = {"sluicectl explain --from 192.0.2.7:50514 --to 10.0.0.16:80"}}};
  return noun;
}

}  // namespace

const Noun& flows_noun() {
  static const Noun noun = make_flows();
  return noun;
}

const Noun& explain_noun() {
  static const Noun noun = make_explain();
  return noun;
}

}  // namespace sluice::ctl
