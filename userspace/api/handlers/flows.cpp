// The data plane's connections, in Sluice's own part of the API:
//
//   GET /v1/flows?listener_id=&pool_id=&member_id=&client=10.0.0.0/8&limit=1000
//   GET /v1/clients?...           the same filters: the addresses with the most connections
//   GET /v1/removed-members       the members that are gone but for their connections
//   DELETE /v1/flows?...          the same filters; at least one, or all=true
//   GET /v1/explain?from=192.0.2.7:50514&to=10.0.0.16:80&protocol=TCP
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <charconv>
#include <functional>
#include <map>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/language/fault.hpp"
#include "base/tcp_address.hpp"
#include "model/names.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

constexpr std::size_t default_limit = 1000;
constexpr std::size_t highest_limit = 100000;
constexpr std::size_t most_clients = 100;  // in an answer
constexpr std::size_t default_clients = 20;

std::string text_of(const control::Endpoint& endpoint) {
  return TcpAddress{endpoint.address, endpoint.port}.to_string();
}

json::value id_or_null(const Uuid& id) {
  return id.is_nil() ? json::value() : json::value(to_string(id));
}

json::object render(const control::Flow& flow) {
  return {{"protocol", model::name(flow.protocol)},
          {"client", text_of(flow.client)},
          {"vip", text_of(flow.vip)},
          {"member", text_of(flow.member)},
          {"state", flow.state},
          {"idle", flow.idle.count()},
          {"listener_id", id_or_null(flow.listener_id)},
          {"pool_id", id_or_null(flow.pool_id)},
          {"member_id", id_or_null(flow.member_id)}};
}

std::optional<std::size_t> number_from(std::string_view text) {
  std::size_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

// "10.0.0.0/8" or "10.1.2.3"
bool read_client(const std::string& text, control::FlowFilter& out) {
  const auto slash = text.find('/');
  const auto address = parse_ip_address(text.substr(0, slash));
  if (!address) return false;
  const unsigned widest = address->is_v4() ? 32 : 128;
  const auto prefix = slash == text.npos ? widest : number_from(text.substr(slash + 1));
  if (!prefix || *prefix > widest) return false;
  out.client = *address;
  out.client_prefix = static_cast<unsigned>(*prefix);
  return true;
}

// The query of either request. `all` is for flushing, where "everything" must be asked for
// explicitly.
struct Wanted {
  control::FlowFilter filter;
  std::size_t limit = default_limit;
  bool all = false;
};

bool read_parameter(const std::string& key, const std::string& value, Wanted& out) {
  const auto read_id = [&](std::optional<Uuid>& id) {
    return (id = parse_uuid(value)).has_value();
  };
  if (key == "listener_id") return read_id(out.filter.listener);
  if (key == "pool_id") return read_id(out.filter.pool);
  if (key == "member_id") return read_id(out.filter.member);
  if (key == "client") return read_client(value, out.filter);
  if (key == "all") return (out.all = value == "true");
  if (key != "limit") return false;
  const auto limit = number_from(value);
  out.limit = limit.value_or(0);
  return out.limit >= 1 && out.limit <= highest_limit;
}

Result<Wanted> read_query(const Call& call, std::size_t limit = default_limit) {
  Wanted out{.filter = {}, .limit = limit};
  for (const auto& [key, value] : call.query) {
    if (read_parameter(key, value, out)) continue;
    return fail(ErrorKind::invalid,
                fmt::format("Flows cannot be filtered by {}='{}': use listener_id, pool_id, "
                            "member_id (ids), client (an address or a prefix), limit (1 to {}).",
                            key, value, highest_limit));
  }
  return out;
}

Result<control::Endpoint> read_endpoint(const Call& call, std::string_view name) {
  for (const auto& [key, value] : call.query) {
    if (key != name) continue;
    const auto address = parse_tcp_address(value);
    if (address) return control::Endpoint{address->address, address->port};
    return fail(ErrorKind::invalid, fmt::format("{}: {}", name, address.error().text()));
  }
  return fail(ErrorKind::invalid, fmt::format("Which packet? {}=ADDRESS:PORT is missing.", name));
}

Result<control::Question> read_question(const Call& call) {
  auto from = read_endpoint(call, "from");
  if (!from) return tl::unexpected(from.error());
  auto to = read_endpoint(call, "to");
  if (!to) return tl::unexpected(to.error());
  control::Question question{model::Protocol::tcp, *from, *to};
  for (const auto& [key, value] : call.query) {
    if (key != "protocol") continue;
    const auto protocol = model::parse_protocol(value);
    if (!protocol) return fail(ErrorKind::invalid, "There is no protocol '" + value + "'.");
    question.protocol = *protocol;
  }
  if (from->address.is_v4() != to->address.is_v4()) {
    return fail(ErrorKind::invalid, "A packet's two addresses are of one IP version.");
  }
  return question;
}

// The object's name, or its id where it has none.
template <typename T>
json::value called(const model::Table<T>& objects, const Uuid& id) {
  const auto found = objects.find(id);
  if (found == objects.end() || found->second.name.empty()) return id_or_null(id);
  return json::value(found->second.name);
}

json::object render(const control::Explanation& found, const model::Model& model) {
  const auto endpoint = [](const auto& value) {
    return value ? json::value(text_of(*value)) : json::value();
  };
  return {{"verdict", found.verdict},
          {"reason", found.reason},
          {"description", found.sentence},
          {"listener", called(model.listeners, found.listener_id)},
          {"pool", called(model.pools, found.pool_id)},
          {"member", called(model.members, found.member_id)},
          {"source", endpoint(found.source)},
          {"destination", endpoint(found.destination)},
          {"interface", found.interface}};
}

}  // namespace

Result<Reply> list_flows(const Call& call) {
  auto wanted = read_query(call);
  if (!wanted) return tl::unexpected(wanted.error());
  return looking_on(
      [wanted = std::move(*wanted)](control::Inspection& data_plane) -> Result<Reply> {
        // One more than asked for is read, to tell whether there are more.
        const auto flows = data_plane.flows(wanted.filter, wanted.limit + 1);
        if (!flows) return tl::unexpected(flows.error());
        json::array shown;
        for (const auto& flow : *flows) {
          if (shown.size() < wanted.limit) shown.push_back(render(flow));
        }
        return Reply{
            200, json::object{{"flows", std::move(shown)}, {"more", flows->size() > wanted.limit}}};
      });
}

// Counts the connections of each client, of at most `highest_limit` that match. Closed ones, which
// the table keeps for a while, are told apart.
Result<Reply> list_clients(const Call& call) {
  auto wanted = read_query(call, default_clients);
  if (!wanted) return tl::unexpected(wanted.error());
  const auto limit = std::min(wanted->limit, most_clients);
  return looking_on(
      [filter = wanted->filter, limit](control::Inspection& data_plane) -> Result<Reply> {
        const auto flows = data_plane.flows(filter, highest_limit);
        if (!flows) return tl::unexpected(flows.error());
        struct Client {
          IpAddress address;
          std::uint64_t connections = 0, opening = 0, closed = 0;
        };
        std::map<IpAddress, Client> by_address;
        for (const auto& flow : *flows) {
          auto& client = by_address[flow.client.address];
          client.address = flow.client.address;
          ++(flow.state == "closed" ? client.closed : client.connections);
          if (flow.state == "opening") ++client.opening;
        }
        std::vector<Client> clients;
        for (const auto& [address, client] : by_address) clients.push_back(client);
        std::ranges::stable_sort(clients, std::greater{}, &Client::connections);
        json::array shown;
        for (const auto& client : clients) {
          if (shown.size() == limit) break;
          shown.push_back(json::object{{"client", client.address.to_string()},
                                       {"connections", client.connections},
                                       {"opening", client.opening},
                                       {"closed", client.closed}});
        }
        return Reply{200, json::object{{"clients", std::move(shown)},
                                       {"all_clients", clients.size()},
                                       {"connections", flows->size()},
                                       {"more", flows->size() == highest_limit}}};
      });
}

Result<Reply> list_removed_members(const Call& call) {
  const auto members = call.context.controller.data_plane().removed_members();
  if (!members) return tl::unexpected(members.error());
  json::array shown;
  for (const auto& member : *members) {
    shown.push_back(json::object{
        {"id", to_string(member.id)},
        {"address", member.address.to_string()},
        {"protocol_port", member.port},
        {"connections_left", member.connections},
        {"drain_seconds_left", member.left ? json::value(member.left->count()) : json::value()}});
  }
  return Reply{200, json::object{{"removed_members", std::move(shown)}}};
}

Result<Reply> flush_flows(const Call& call) {
  auto wanted = read_query(call);
  if (!wanted) return tl::unexpected(wanted.error());
  const auto& filter = wanted->filter;
  if (!wanted->all && !filter.listener && !filter.pool && !filter.member && !filter.client) {
    return fail(ErrorKind::invalid, "Which flows? Give a filter, or all=true.");
  }
  return looking_on([filter](control::Inspection& data_plane) -> Result<Reply> {
    const auto flushed = data_plane.flush_flows(filter);
    if (!flushed) return tl::unexpected(flushed.error());
    return Reply{200, json::object{{"flushed", *flushed}}};
  });
}

Result<Reply> explain(const Call& call) {
  auto question = read_question(call);
  if (!question) return tl::unexpected(question.error());
  return looking_on([question = std::move(*question), &controller = call.context.controller](
                        control::Inspection& data_plane) -> Result<Reply> {
    auto found = data_plane.explain(question);
    if (!found) return tl::unexpected(found.error());
    Reply reply;
    reply.afterwards = [found = std::move(*found), &controller]() -> Result<Reply> {
      return Reply{200, json::object{{"explanation", render(found, controller.model())}}};
    };
    return reply;
  });
}

}  // namespace sluice::api
