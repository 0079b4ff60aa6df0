#include "api/handlers/routes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "api/handlers/address_claims.hpp"
#include "api/handlers/changes.hpp"
#include "api/handlers/collection.hpp"
#include "api/handlers/events.hpp"
#include "api/handlers/handlers.hpp"
#include "api/language/events.hpp"
#include "api/language/fault.hpp"

namespace sluice::api {
namespace {

struct Route {
  std::string_view method;
  std::string_view pattern;  // "{}" stands for one segment, an id
  Handler handler;
};

// Served under /v2 and /v2.0 alike (the command line client uses one, openstacksdk the other).
constexpr Route routes[] = {
    {"GET", "/v2/lbaas/loadbalancers", list<model::LoadBalancer>},
    {"POST", "/v2/lbaas/loadbalancers", create_load_balancer},
    {"GET", "/v2/lbaas/loadbalancers/{}", show<model::LoadBalancer>},
    {"PUT", "/v2/lbaas/loadbalancers/{}", update_load_balancer},
    {"DELETE", "/v2/lbaas/loadbalancers/{}", delete_load_balancer},
    {"GET", "/v2/lbaas/loadbalancers/{}/status", show_load_balancer_status},
    {"GET", "/v2/lbaas/loadbalancers/{}/statuses", show_load_balancer_status},
    {"GET", "/v2/lbaas/loadbalancers/{}/stats", show_load_balancer_statistics},
    {"PUT", "/v2/lbaas/loadbalancers/{}/failover", fail_over},

    {"GET", "/v2/lbaas/listeners", list<model::Listener>},
    {"POST", "/v2/lbaas/listeners", create_listener},
    {"GET", "/v2/lbaas/listeners/{}", show<model::Listener>},
    {"PUT", "/v2/lbaas/listeners/{}", update_listener},
    {"DELETE", "/v2/lbaas/listeners/{}", delete_listener},
    {"GET", "/v2/lbaas/listeners/{}/stats", show_listener_statistics},

    {"GET", "/v2/lbaas/pools", list<model::Pool>},
    {"POST", "/v2/lbaas/pools", create_pool},
    {"GET", "/v2/lbaas/pools/{}", show<model::Pool>},
    {"PUT", "/v2/lbaas/pools/{}", update_pool},
    {"DELETE", "/v2/lbaas/pools/{}", delete_pool},

    {"GET", "/v2/lbaas/pools/{}/members", list_members},
    {"POST", "/v2/lbaas/pools/{}/members", create_member},
    {"PUT", "/v2/lbaas/pools/{}/members", replace_members},
    {"GET", "/v2/lbaas/pools/{}/members/{}", show_member},
    {"PUT", "/v2/lbaas/pools/{}/members/{}", update_member},
    {"DELETE", "/v2/lbaas/pools/{}/members/{}", delete_member},

    {"GET", "/v2/lbaas/healthmonitors", list<model::HealthMonitor>},
    {"POST", "/v2/lbaas/healthmonitors", create_health_monitor},
    {"GET", "/v2/lbaas/healthmonitors/{}", show<model::HealthMonitor>},
    {"PUT", "/v2/lbaas/healthmonitors/{}", update_health_monitor},
    {"DELETE", "/v2/lbaas/healthmonitors/{}", delete_health_monitor},

    {"GET", "/v2/lbaas/providers", list_providers},
    {"GET", "/v2/lbaas/providers/{}/flavor_capabilities", list_flavor_capabilities},
    {"GET", "/v2/lbaas/providers/{}/availability_zone_capabilities",
     list_availability_zone_capabilities},
    {"GET", "/v2/lbaas/quotas", list_quotas},
    {"GET", "/v2/lbaas/quotas/{}", show_quota},  // also "defaults", which is no project's id
    {"GET", "/v2/lbaas/quotas/{}/default", show_default_quota},
    {"PUT", "/v2/lbaas/quotas/{}", change_quota},
    {"DELETE", "/v2/lbaas/quotas/{}", delete_quota},

    {"GET", "/v2/lbaas/l7policies", list_nothing},
    {"POST", "/v2/lbaas/l7policies", refuse_collection},
    {"GET", "/v2/lbaas/l7policies/{}", find_nothing},
    {"GET", "/v2/lbaas/l7policies/{}/rules", find_nothing},
    {"POST", "/v2/lbaas/l7policies/{}/rules", find_nothing},
    {"GET", "/v2/lbaas/l7policies/{}/rules/{}", find_nothing},
    {"PUT", "/v2/lbaas/l7policies/{}/rules/{}", find_nothing},
    {"DELETE", "/v2/lbaas/l7policies/{}/rules/{}", find_nothing},
    {"GET", "/v2/lbaas/flavors", list_nothing},
    {"POST", "/v2/lbaas/flavors", refuse_collection},
    {"GET", "/v2/lbaas/flavors/{}", find_nothing},
    {"GET", "/v2/lbaas/flavorprofiles", list_nothing},
    {"POST", "/v2/lbaas/flavorprofiles", refuse_collection},
    {"GET", "/v2/lbaas/flavorprofiles/{}", find_nothing},
    {"GET", "/v2/lbaas/availabilityzones", list_nothing},
    {"POST", "/v2/lbaas/availabilityzones", refuse_collection},
    {"GET", "/v2/lbaas/availabilityzones/{}", find_nothing},
    {"GET", "/v2/lbaas/availabilityzoneprofiles", list_nothing},
    {"POST", "/v2/lbaas/availabilityzoneprofiles", refuse_collection},
    {"GET", "/v2/lbaas/availabilityzoneprofiles/{}", find_nothing},
    {"GET", "/v2/octavia/amphorae", list_nothing},
    {"GET", "/v2/octavia/amphorae/{}", find_nothing},

    {"GET", "/v2/networks", list_networks},
    {"GET", "/v2/networks/{}", show_network},
    {"GET", "/v2/subnets", list_subnets},
    {"GET", "/v2/subnets/{}", show_subnet},
    {"GET", "/v2/ports", list_ports},
    {"GET", "/v2/ports/{}", show_port},
    {"PUT", "/v2/ports/{}", update_port},
    {"GET", "/v2/security-groups", list_security_groups},
    {"GET", "/v2/security-groups/{}", show_security_group},
    {"GET", "/v2/extensions", list_extensions},
    {"GET", "/v2/extensions/{}", show_extension},

    {"GET", "/v2/floatingips", list<model::FloatingIp>},
    {"POST", "/v2/floatingips", create_floating_ip},
    {"GET", "/v2/floatingips/{}", show<model::FloatingIp>},
    {"PUT", "/v2/floatingips/{}", update_floating_ip},
    {"DELETE", "/v2/floatingips/{}", delete_floating_ip},

    {"GET", "/", list_versions},
    {"GET", "/healthcheck", check_health},
    {"GET", "/v2", show_version},
    {"GET", "/v2/lbaas", show_version},

    {"GET", "/v1/entrance", show_entrance},
    {"GET", "/v1/node", show_node},
    {"PUT", "/v1/node", update_node},
    {"GET", "/v1/nodes", list_nodes},
    {"GET", "/v1/nodes/{}", show_node},
    {"PUT", "/v1/nodes/{}", update_node},
    {"DELETE", "/v1/nodes/{}", remove_node},  // after what else is known of it
    {"GET", "/v1/peers", list_peers},
    {"GET", "/v1/cluster", show_cluster},
    {"POST", "/v1/cluster/restore", show_cluster},          // when it is done
    {"POST", "/v1/cluster/rotate-peer-key", show_cluster},  // the same
    {"GET", "/v1/drops", list_drops},
    {"GET", "/v1/events", list_events},
    {"GET", "/v1/counters", list_counters},
    {"GET", "/v1/flows", list_flows},
    {"GET", "/v1/clients", list_clients},
    {"GET", "/v1/removed-members", list_removed_members},
    {"DELETE", "/v1/flows", flush_flows},
    {"GET", "/v1/explain", explain},
    {"POST", "/v1/captures", start_capture},
    {"GET", "/v1/captures/{}/packets", take_captured},
    {"DELETE", "/v1/captures/{}", stop_capture},
    {"POST", "/v1/batch", run_batch},
    {"GET", "/v1/backup", back_up},
    {"POST", "/v1/restore", restore_backup},
};

using Segments = std::vector<std::string>;

// "/v2.0/lbaas/pools/" -> v2, lbaas, pools
Segments split_path(const boost::urls::url_view& url) {
  Segments segments;
  for (auto segment : url.segments()) segments.push_back(segment);
  if (!segments.empty() && segments.back().empty()) segments.pop_back();
  if (!segments.empty() && segments[0] == "v2.0") segments[0] = "v2";
  return segments;
}

// Returns the ids in the path if it fits the pattern.
std::optional<Segments> match(std::string_view pattern, const Segments& path) {
  Segments ids;
  std::size_t at = 0;
  pattern.remove_prefix(1);
  while (!pattern.empty()) {
    const auto word = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(std::min(word.size() + 1, pattern.size()));
    if (at == path.size() || (word != "{}" && word != path[at])) return std::nullopt;
    if (word == "{}") ids.push_back(path[at]);
    ++at;
  }
  if (at != path.size()) return std::nullopt;
  return ids;
}

Response finished(Result<Reply> reply) {
  if (!reply) return fault(reply.error());
  Response response;
  response.status = reply->status;
  response.request_id = new_request_id();
  response.content_type = reply->content_type;
  const bool plain = reply->body && reply->body->is_string() && !reply->is_json();
  if (plain) {
    response.body = std::string(reply->body->get_string());
  } else if (reply->body) {
    response.body = boost::json::serialize(*reply->body);
  }
  return response;
}

Response method_not_allowed(const Request& request, std::string allowed) {
  auto response =
      http_fault(405, fmt::format("The method {} is not allowed for this resource (allowed: {}).",
                                  request.method, allowed));
  response.allow = std::move(allowed);
  return response;
}

// A pool or policy in the middle of the path is looked up before the handler is called, so a
// missing one is a routing error. There are no policies.
std::optional<Response> missing_parent(const Call& call, std::string_view pattern) {
  if (pattern.starts_with("/v2/lbaas/l7policies/{}/rules")) {
    return http_fault(404, not_found("L7Policy", call.ids[0]).message);
  }
  if (!pattern.starts_with("/v2/lbaas/pools/{}/members")) return std::nullopt;
  const auto pool = find<model::Pool>(call, call.ids[0]);
  if (pool) return std::nullopt;
  return http_fault(404, pool.error().message);
}

// The outcome of a request: its answer, or work that finds it: of the slow lane, of other nodes, or
// of the event loop in parts.
struct Dispatched {
  Dispatched(Response response_) : response(std::move(response_)) {}  // NOLINT: the usual case
  explicit Dispatched(Reply to_be_found)
      : inspect(std::move(to_be_found.inspect)),
        asked(std::move(to_be_found.asked)),
        resume(std::move(to_be_found.resume)) {}

  Response response;
  std::function<Result<Reply>(control::Inspection&)> inspect;
  std::shared_ptr<Reply::Asked> asked;
  std::function<Result<Reply>()> resume;
};

Dispatched answered(Result<Reply> reply) {
  if (reply && (reply->inspect || reply->asked || reply->resume))
    return Dispatched(std::move(*reply));
  return finished(std::move(reply));
}

Dispatched dispatch(const Context& context, const Request& request) {
  const auto url = boost::urls::parse_origin_form(request.target);
  if (!url) return http_fault(400, "The request target is not a valid path: " + request.target);
  const auto path = split_path(*url);

  std::string allowed;
  for (const auto& route : routes) {
    auto ids = match(route.pattern, path);
    if (!ids) continue;
    if (route.method != request.method) {
      allowed.append(allowed.empty() ? "" : ", ").append(route.method);
      continue;
    }
    if (auto may = check_route(request, route.pattern); !may) return fault(may.error());
    Call call{context, request, std::move(*ids), {}};
    for (auto parameter : url->params()) call.query.emplace_back(parameter.key, parameter.value);
    if (request.method == "GET") {
      if (auto problem = paging_problem(call.query); !problem.empty()) {
        return http_fault(400, std::move(problem));
      }
    }
    if (auto missing = missing_parent(call, route.pattern)) return std::move(*missing);
    return answered(route.handler(call));
  }
  if (!allowed.empty()) return method_not_allowed(request, std::move(allowed));
  return http_fault(404, "The resource could not be found.");
}

// Runs `answer`, and answers with a fault if it throws.
template <typename Answer>
auto guarded(const Request& request, const Answer& answer) -> decltype(answer()) {
  try {
    return answer();
  } catch (const std::exception& problem) {
    return fault(
        {ErrorKind::internal,
         fmt::format("{} {}: internal error: {}", request.method, request.target, problem.what()),
         "this is a bug in sluiced, please report it", 0});
  }
}

// Says whether the request may change the model: reads don't, nor do some of Sluice's own routes.
bool may_change_model(const Request& request) {
  if (request.method == "GET" || request.method == "HEAD") return false;
  return !request.target.starts_with("/v1/") || request.target.starts_with("/v1/batch") ||
         request.target.starts_with("/v1/restore") || request.target.starts_with("/v1/node");
}

// After so many allocated addresses that turned out to be taken, the subnet is given up.
constexpr int most_inquiries = 16;

Dispatched dispatch_guarded(const Context& context, const Request& request) {
  return guarded(request, [&] { return dispatch(context, request); });
}

// Does the next part of a request's work.
Dispatched resume_guarded(const Request& request, const std::function<Result<Reply>()>& resume) {
  return guarded(request, [&]() -> Dispatched { return answered(resume()); });
}

// The answer of a request that is carried out within another one or within a change.
Response within_change(const Request& request, Dispatched dispatched) {
  if (!dispatched.asked) return std::move(dispatched.response);
  return guarded(request, [&] { return finished(dispatched.asked->reply({})); });
}

// A request that changes the model, until its answer is known. If the wire must be asked for the
// addresses that it takes, it is carried out again afterwards, and others are served meanwhile.
struct Change : std::enable_shared_from_this<Change> {
  using Progress = control::Controller::Progress;

  Change(const Context& context_, Request request_)
      : context(context_), request(std::move(request_)), claims(context_.holders) {
    context.claims = &claims;
  }

  void submit() {
    context.controller.submit_long([self = shared_from_this()] { return self->carry_out(); },
                                   [self = shared_from_this()](const Result<void>& outcome) {
                                     if (!self->asks()) self->conclude(outcome);
                                   });
  }

  // Does a part of the work: first the request itself, then its events.
  Result<Progress> carry_out() {
    if (report) return go_on_reporting();
    auto dispatched = resume ? resume_guarded(request, std::exchange(resume, {}))
                             : dispatch_guarded(context, request);
    if (dispatched.resume) {
      resume = std::move(dispatched.resume);
      return Progress::more;
    }
    response = within_change(request, std::move(dispatched));
    if (!request.id.empty()) response.request_id = request.id;
    // A refused request's changes are undone; its answer has the reason.
    if (response.status >= 300) return fail(ErrorKind::invalid, "refused");
    report.emplace(context.controller.before_request(), context.controller.model());
    told.clear();
    return go_on_reporting();
  }

  // Puts the request's events into the commit of its changes.
  Result<Progress> go_on_reporting() {
    std::vector<model::EventRecord> records;
    for (auto& event : report->next()) {
      event.who = request.who.name;
      event.peer = request.who.peer;
      event.request_id = response.request_id;
      context.events.give_number(event);
      records.push_back(record_of(event));
      told.push_back(std::move(event));
    }
    context.controller.record(std::move(records));
    if (!report->is_done()) return Progress::more;
    report.reset();
    return Progress::done;
  }

  bool asks() {
    const auto open = claims.to_ask();
    if (open.empty() || ++inquiries > most_inquiries) return false;
    context.holders->ask(open, [self = shared_from_this()](AddressHolders::Answers answers) {
      self->claims.heard(std::move(answers));
      self->submit();
    });
    return true;
  }

  // Reports the events, some at a time, and answers.
  void conclude(const Result<void>& outcome) {
    if (!outcome && response.status < 300) response = fault(outcome.error());
    context.controller.slices().run(
        [self = shared_from_this(), stored = outcome.has_value()] {
          return self->tell_some(stored);
        },
        [self = shared_from_this()] { self->done(std::move(self->response)); });
  }

  // Returns whether those were the last ones. Only stored changes are reported.
  bool tell_some(bool stored) {
    constexpr std::size_t most_at_once = 32;
    for (std::size_t count = 0; count < most_at_once && reported < told.size(); ++count) {
      auto event = std::move(told[reported++]);
      if (stored) context.events.tell(std::move(event));
    }
    return reported == told.size();
  }

  Context context;
  Request request;
  AddressClaims claims;
  std::function<void(Response)> done;
  Response response;
  std::function<Result<Reply>()> resume;  // set: the request has been carried out in part
  std::optional<ChangeReport> report;     // set: its events are being found
  std::vector<Event> told;
  std::size_t reported = 0;  // of those
  int inquiries = 0;
};

void submit(const Context& context, const Request& request, std::function<void(Response)> done) {
  const auto change = std::make_shared<Change>(context, request);
  change->done = std::move(done);
  change->submit();
}

// Answers with what the slow lane finds. The lane also turns the reply into text, because that
// takes as long as finding a long list.
void answer_after_inspection(const Context& context, const Request& request, Dispatched dispatched,
                             std::function<void(Response)> done) {
  using Outcome = std::function<void()>;
  const auto told = std::make_shared<std::function<void(Response)>>(std::move(done));
  const auto work = [request, told, inspect = std::move(dispatched.inspect)](
                        control::Inspection& data_plane) -> Outcome {
    std::function<Result<Reply>()> afterwards;
    auto response = guarded(request, [&] {
      auto reply = inspect(data_plane);
      if (reply) afterwards = std::move(reply->afterwards);
      return finished(std::move(reply));
    });
    if (!afterwards)
      return [told, response = std::move(response)]() mutable { (*told)(std::move(response)); };
    return [request, told, afterwards = std::move(afterwards)] {
      (*told)(guarded(request, [&] { return finished(afterwards()); }));
    };
  };
  if (!context.controller.data_plane().inspect(work, request.asker))
    (*told)(
        http_fault(503, "Too many requests that take long are waiting already: try again later."));
}

// A request that reads, and what it has found so far.
struct Reading {
  Reading(const Context& context_, Request request_)
      : context(context_),
        request(std::move(request_)),
        dispatched(dispatch_guarded(context, request)) {}
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  const Context context;
  const Request request;
  Dispatched dispatched;
};

// Answers when the last part of the work is done.
void answer_in_slices(const std::shared_ptr<Reading>& reading, std::function<void(Response)> done) {
  auto& slices = reading->context.controller.slices();
  slices.run(
      [reading] {
        auto& dispatched = reading->dispatched;
        dispatched = resume_guarded(reading->request, std::exchange(dispatched.resume, {}));
        return !dispatched.resume;
      },
      [reading, done = std::move(done)] { done(std::move(reading->dispatched.response)); });
}

// Answers when the other nodes of the fleet have told what they count. The header names those that
// have not.
void answer_when_others_have(const Context& context, const Request& request,
                             const std::shared_ptr<Reply::Asked>& asked,
                             std::function<void(Response)> done) {
  context.fleet->count(
      asked->listeners, asked->connections,
      [request, asked, done = std::move(done)](const control::FleetCounts& counts) {
        auto response = guarded(request, [&] { return finished(asked->reply(counts)); });
        if (!counts.missing.empty())
          response.headers.emplace_back("X-Sluice-Fleet-Missing",
                                        fmt::format("{}", fmt::join(counts.missing, ",")));
        done(std::move(response));
      });
}

// Answers with the file, which the store's thread makes.
void answer_with_backup(const Context& context, Response permitted,
                        std::function<void(Response)> done) {
  context.controller.store_writer().back_up(
      [permitted = std::move(permitted), done = std::move(done)](Result<std::string> file) mutable {
        if (!file) return done(fault(file.error()));
        permitted.content_type = "application/vnd.sqlite3";
        permitted.body = std::move(*file);
        done(std::move(permitted));
      });
}

// Has the store's thread read the backup before the change begins.
void submit_with_backup(const Context& context, Request request,
                        std::function<void(Response)> done) {
  auto file = std::exchange(request.body, {});
  context.controller.store_writer().read_backup(
      std::move(file), [context, request = std::move(request),
                        done = std::move(done)](Result<store::Contents> contents) mutable {
        if (!contents) return done(fault(contents.error()));
        request.backup = std::make_shared<const model::Model>(std::move(contents->model));
        submit(context, request, std::move(done));
      });
}

// Marks answers of a node that does not follow the fleet's state: what they show may be old.
std::function<void(Response)> marked(const control::Fleet& fleet,
                                     std::function<void(Response)> done) {
  return [&fleet, done = std::move(done)](Response response) {
    const auto state = fleet.state();
    if (state.state != "FOLLOWING") response.headers.emplace_back("X-Sluice-Fleet", state.state);
    done(std::move(response));
  };
}

// What an administrator may have done to the fleet; nullptr: the request is another one.
using FleetAction = void (control::Fleet::*)(std::function<void(Result<void>)>);
FleetAction fleet_action(const Request& request) {
  if (request.method != "POST" || request.who.role != Role::admin) return nullptr;
  const auto path = path_of(request.target);
  if (path == "/v1/cluster/restore") return &control::Fleet::restore;
  if (path == "/v1/cluster/rotate-peer-key") return &control::Fleet::rotate_peer_key;
  return nullptr;
}

// Does it, and then answers with what has become of the fleet.
void act_on_fleet(FleetAction action, const Context& context, const Request& request,
                  std::function<void(Response)> done) {
  (context.fleet->*action)([context, request, done = std::move(done)](const Result<void>& result) {
    done(result ? dispatch_guarded(context, request).response : fault(result.error()));
  });
}

// The node of a request that forgets one; nullopt: it's another request.
std::optional<std::string> node_to_remove(const Request& request) {
  const auto url = boost::urls::parse_origin_form(request.target);
  if (request.method != "DELETE" || !url) return std::nullopt;
  auto ids = match("/v1/nodes/{}", split_path(*url));
  return ids ? std::optional(std::move(ids->front())) : std::nullopt;
}

// Forgets a node that is gone, and then takes back its drain, which is a part of the desired state.
void remove_node_of_fleet(const Context& context, const Request& request, const std::string& name,
                          std::function<void(Response)> done) {
  const auto state = context.fleet->state();
  const bool is_live = std::ranges::count(state.nodes, name, &control::NodeState::name) != 0;
  const bool is_known = is_live || std::ranges::count(state.gone, name) != 0 ||
                        context.controller.model().drained_nodes.contains(name);
  if (!is_known)
    return done(fault({ErrorKind::not_found, fmt::format("No node is called {}.", name),
                       "sluicectl node list shows them", 0}));
  context.fleet->remove_node(
      name, [context, request, done = std::move(done)](const Result<void>& removed) mutable {
        if (!removed) return done(fault(removed.error()));
        submit(context, request, std::move(done));
      });
}

}  // namespace

void answer(const Context& context, const Request& request, std::function<void(Response)> done) {
  if (context.fleet) done = marked(*context.fleet, std::move(done));
  if (asks_for_events(request)) return answer_with_events(context, request, std::move(done));
  if (const auto action = fleet_action(request); action && context.fleet)
    return act_on_fleet(action, context, request, std::move(done));
  if (const auto node = node_to_remove(request);
      node && context.fleet && request.who.role == Role::admin)
    return remove_node_of_fleet(context, request, *node, std::move(done));
  if (!may_change_model(request)) {
    const auto reading = std::make_shared<Reading>(context, request);
    auto& dispatched = reading->dispatched;
    if (dispatched.resume) return answer_in_slices(reading, std::move(done));
    if (dispatched.inspect)
      return answer_after_inspection(context, request, std::move(dispatched), std::move(done));
    if (dispatched.asked)
      return answer_when_others_have(context, request, dispatched.asked, std::move(done));
    if (dispatched.response.status == 200 && request.method == "GET" &&
        path_of(request.target) == "/v1/backup")
      return answer_with_backup(context, std::move(dispatched.response), std::move(done));
    return done(std::move(dispatched.response));
  }
  const bool may_restore = request.method == "POST" && request.who.role == Role::admin;
  if (may_restore && path_of(request.target) == "/v1/restore" && !request.body.empty())
    return submit_with_backup(context, request, std::move(done));
  submit(context, request, std::move(done));
}

Response handle(const Context& context, const Request& request) {
  auto dispatched = dispatch_guarded(context, request);
  while (dispatched.resume) dispatched = resume_guarded(request, dispatched.resume);
  return within_change(request, std::move(dispatched));
}

}  // namespace sluice::api
