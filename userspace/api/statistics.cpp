#include "api/collection.hpp"
#include "api/handlers.hpp"

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

// What the statistics show, summed; the rest of the counters has no place in them.
void add(control::Counters& sum, const control::Counters& more) {
  sum.bytes_in += more.bytes_in;
  sum.bytes_out += more.bytes_out;
  sum.flows_opened += more.flows_opened;
  sum.flows_ended += more.flows_ended;
  sum.flows_refused += more.flows_refused;
}

}  // namespace

Result<Reply> show_listener_statistics(const Call& call) {
  const auto listener = find<model::Listener>(call, call.ids[0]);
  if (!listener) return tl::unexpected(listener.error());
  const auto counters = call.context.controller.data_plane().listener_counters((*listener)->id);
  if (!counters) return fail(counters.error(), "counters of listener " + call.ids[0]);
  return rendered(*counters);
}

Result<Reply> show_load_balancer_statistics(const Call& call) {
  const auto owner = find<model::LoadBalancer>(call, call.ids[0]);
  if (!owner) return tl::unexpected(owner.error());
  control::Counters sum;
  for (const auto& [id, listener] : call.context.controller.model().listeners) {
    if (listener.load_balancer_id != (*owner)->id) continue;
    const auto counters = call.context.controller.data_plane().listener_counters(id);
    if (!counters) return fail(counters.error(), "counters of listener " + to_string(id));
    add(sum, *counters);
  }
  return rendered(sum);
}

}  // namespace sluice::api
