#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <set>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/language/fleet.hpp"
#include "model/names.hpp"
#include "model/vips.hpp"

namespace sluice::api {
namespace {

Reply rendered(const control::Counters& sum) {
  return {200, boost::json::object{{"stats", boost::json::object{
                                                 {"active_connections", sum.active_flows()},
                                                 {"bytes_in", sum.bytes_in},
                                                 {"bytes_out", sum.bytes_out},
                                                 {"request_errors", sum.flows_refused},
                                                 {"total_connections", sum.flows_opened},
                                             }}}};
}

// Sums the counters that the statistics show.
void add(control::Counters& sum, const control::Counters& more) {
  sum.bytes_in += more.bytes_in;
  sum.bytes_out += more.bytes_out;
  sum.flows_opened += more.flows_opened;
  sum.flows_ended += more.flows_ended;
  sum.flows_refused += more.flows_refused;
}

// The counters of every listener and member at one moment, for `sluicectl top`, under the CLI's
// names.
boost::json::object counted(const model::Object& object, const control::Counters& sum,
                            model::OperatingStatus status) {
  return {{"id", to_string(object.id)},
          {"name", object.name},
          {"operating_status", std::string(model::name(status))},
          {"active_connections", sum.active_flows()},
          {"total_connections", sum.flows_opened},
          {"failed_connections", sum.flows_failed},
          {"refused_connections", sum.flows_refused},
          {"packets_in", sum.packets_in},
          {"packets_out", sum.packets_out},
          {"bytes_in", sum.bytes_in},
          {"bytes_out", sum.bytes_out}};
}

std::string socket_text(const IpAddress& address, const std::string& ports) {
  return (address.is_v6() ? "[" + address.to_string() + "]:" : address.to_string() + ":") + ports;
}

template <typename T>
std::string called(const model::Table<T>& objects, const Uuid& id) {
  const auto found = objects.find(id);
  if (found == objects.end()) return {};
  return found->second.name.empty() ? to_string(id) : found->second.name;
}

Result<boost::json::array> count_listeners(const Call& call) {
  const auto shown = view(call);
  boost::json::array all;
  for (const auto* listener :
       oldest_first(shown.model.listeners, [](const auto&) { return true; })) {
    const auto sum = call.context.controller.data_plane().listener_counters(listener->id);
    if (!sum) return tl::unexpected(sum.error());
    const auto status = operating_status(shown.model, shown.health, *listener, shown.full);
    auto one = counted(*listener, *sum, status);
    const auto& owner = shown.model.load_balancers.at(listener->load_balancer_id);
    one["owner"] = called(shown.model.load_balancers, owner.id);
    std::vector<std::string> sockets;
    for (const auto& vip : model::vips(owner))
      sockets.push_back(socket_text(vip, model::ports_text(*listener)));
    one["address"] = fmt::format("{}", fmt::join(sockets, ", "));
    all.push_back(std::move(one));
  }
  return all;
}

Result<boost::json::array> count_members(const Call& call) {
  const auto shown = view(call);
  boost::json::array all;
  for (const auto* member : oldest_first(shown.model.members, [](const auto&) { return true; })) {
    const auto sum = call.context.controller.data_plane().member_counters(member->id);
    if (!sum) return tl::unexpected(sum.error());
    auto one = counted(*member, *sum, operating_status(shown.model, shown.health, *member));
    one["owner"] = called(shown.model.pools, member->pool_id);
    one["address"] = socket_text(member->address, std::to_string(member->protocol_port));
    all.push_back(std::move(one));
  }
  return all;
}

// A turn for which an eviction waits noticeably.
constexpr auto slow_turn = std::chrono::milliseconds(100);

// How sluiced itself is, its fleet, and the flow tables.
Result<boost::json::object> health_of(const Call& call) {
  const auto seconds = [](auto time) { return std::chrono::duration<double>(time).count(); };
  boost::json::object health;
  if (const auto* turns = call.context.turns) {
    health["event_loop"] = boost::json::object{
        {"turns", turns->turns()},
        {"slow_turns", turns->longer_than(slow_turn)},
        {"cpu_seconds", seconds(turns->sum())},
        {"longest_turn_seconds", seconds(turns->longest())},
    };
  }
  const auto& controller = call.context.controller;
  const auto since = controller.committing_since();
  health["store"] = boost::json::object{
      {"failure", controller.store_failure()},
      {"waits_seconds", since ? seconds(std::chrono::steady_clock::now() - *since) : 0.0}};
  if (const auto* fleet = call.context.fleet)
    health["fleet"] = render(fleet->state(), call.context.peers);
  const auto tables = call.context.controller.data_plane().flow_tables();
  if (!tables) return tl::unexpected(tables.error());
  boost::json::array shown;
  for (const auto& one : *tables) {
    shown.push_back(boost::json::object{
        {"table", one.table}, {"connections", one.connections}, {"capacity", one.capacity}});
  }
  health["tables"] = std::move(shown);
  return health;
}

}  // namespace

Result<Reply> list_counters(const Call& call) {
  auto listeners = count_listeners(call);
  if (!listeners) return tl::unexpected(listeners.error());
  auto members = count_members(call);
  if (!members) return tl::unexpected(members.error());
  auto reasons = list_drops(call);
  if (!reasons) return tl::unexpected(reasons.error());
  auto health = health_of(call);
  if (!health) return tl::unexpected(health.error());
  return Reply{200, boost::json::object{{"counters", boost::json::object{
                                                         {"listeners", std::move(*listeners)},
                                                         {"members", std::move(*members)},
                                                         {"reasons", reasons->body->at("reasons")},
                                                         {"health", std::move(*health)},
                                                     }}}};
}

namespace {

// The sum over these listeners, here and at the other nodes.
Result<Reply> sum_of(control::Controller& controller, const std::set<Uuid>& listeners,
                     const control::FleetCounts& others) {
  control::Counters sum;
  for (const auto& id : listeners) {
    const auto counters = controller.data_plane().listener_counters(id);
    if (!counters) return fail(counters.error(), "counters of listener " + to_string(id));
    add(sum, *counters);
    for (const auto& [name, counts] : others.nodes) {
      const auto found = counts.listeners.find(id);
      if (found != counts.listeners.end()) add(sum, found->second);
    }
  }
  return rendered(sum);
}

// In a fleet the other nodes are asked first.
Result<Reply> sum_over_fleet(const Call& call, std::set<Uuid> listeners) {
  auto& controller = call.context.controller;
  if (!call.context.fleet) return sum_of(controller, listeners, {});
  Reply reply;
  reply.asked = std::make_shared<Reply::Asked>();
  reply.asked->listeners = listeners;
  reply.asked->reply = [&controller,
                        listeners = std::move(listeners)](const control::FleetCounts& others) {
    return sum_of(controller, listeners, others);
  };
  return reply;
}

}  // namespace

Result<Reply> show_listener_statistics(const Call& call) {
  const auto listener = find<model::Listener>(call, call.ids[0]);
  if (!listener) return tl::unexpected(listener.error());
  return sum_over_fleet(call, {(*listener)->id});
}

Result<Reply> show_load_balancer_statistics(const Call& call) {
  const auto owner = find<model::LoadBalancer>(call, call.ids[0]);
  if (!owner) return tl::unexpected(owner.error());
  std::set<Uuid> listeners;
  for (const auto& [id, listener] : call.context.controller.model().listeners) {
    if (listener.load_balancer_id == (*owner)->id) listeners.insert(id);
  }
  return sum_over_fleet(call, std::move(listeners));
}

}  // namespace sluice::api
