#include "api/server/server.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <filesystem>
#include <iterator>

#include "api/handlers/metrics.hpp"
#include "api/handlers/routes.hpp"
#include "api/language/fault.hpp"
#include "api/page/page.hpp"
#include "api/server/keystone.hpp"
#include "api/server/page_door.hpp"
#include "api/server/throttle.hpp"
#include "api/server/tls.hpp"
#include "base/printable.hpp"

namespace sluice::api {
namespace {

constexpr std::size_t most_places = 64;

void answer_with_metrics(control::Controller& controller, const MetricsSources& sources,
                         std::function<void(Response)> done) {
  metrics(controller, sources, [done = std::move(done)](std::shared_ptr<Pieces> page) {
    Response response;
    response.request_id = new_request_id();
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.pieces = std::move(page);
    done(std::move(response));
  });
}

// The path without its query.
bool asks_for_metrics(const Request& request) {
  return path_of(request.target) == "/metrics" &&
         (request.method == "GET" || request.method == "HEAD");
}

std::string peer_text(const Peer& peer) {
  return peer.address.empty() ? fmt::format("pid {}", peer.pid) : peer.address;
}

// The number of connections that each listener may have. Half of the free descriptors are kept for
// probes and the data plane, which must work however many clients there are.
std::size_t places_of_each(std::size_t listeners) {
  rlimit limit{};
  std::error_code error;
  const std::filesystem::directory_iterator open("/proc/self/fd", error);
  if (error || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return most_places;
  const auto used = static_cast<rlim_t>(std::distance(begin(open), end(open)));
  const auto left = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
  return std::clamp<std::size_t>(left / 2 / listeners, 1, most_places);
}

// Describes how clients connect over TCP.
Entrance entrance_of(const std::optional<TcpEndpoint>& tcp) {
  if (!tcp) return {};
  Entrance entrance{.endpoint = tcp->doors.public_endpoint,
                    .with_token = tcp->doors.users != nullptr,
                    .with_identity = tcp->doors.issued != nullptr};
  if (!entrance.with_token) return entrance;
  for (const auto& user : tcp->doors.users->users()) {
    if (user.secret) entrance.users.push_back(user.identity);
  }
  return entrance;
}

std::optional<Keystone> keystone_of(const std::optional<TcpEndpoint>& tcp,
                                    boost::asio::io_context& context,
                                    const std::string& default_project_id) {
  if (!tcp || !tcp->doors.issued) return std::nullopt;
  return Keystone(context, {.users = tcp->doors.users,
                            .issued = tcp->doors.issued,
                            .public_endpoint = tcp->doors.public_endpoint,
                            .default_project_id = default_project_id});
}

// "192.0.2.7:50514" -> its address.
IpAddress address_of(const Peer& peer) {
  return parse_ip_address(peer.address.substr(0, peer.address.rfind(':'))).value_or(IpAddress());
}

// The fault in an answer's body, for the events.
std::string fault_of(const Response& response) {
  boost::system::error_code error;
  const auto body = boost::json::parse(response.body, error);
  const auto* object = error ? nullptr : body.if_object();
  for (const auto* name : {"faultstring", "description"}) {
    const auto* text = object ? object->if_contains(name) : nullptr;
    if (text && text->is_string()) return std::string(text->get_string());
  }
  return {};
}

// The list of servers without one (tests). It outlives them, because a change that the disk holds
// up may be reported after its server is gone.
Events& nobodys_events() {
  static Events events;
  return events;
}

}  // namespace

struct Server::State {
  State(boost::asio::io_context& io, control::Controller& controller, Options settings,
        Endpoints& endpoints)
      : events(settings.events ? *settings.events : nobodys_events()),
        context{.controller = controller,
                .default_project_id = settings.default_project_id,
                .events = events,
                .entrance = entrance_of(endpoints.tcp),
                .holders = settings.holders,
                .vip_routes = settings.vip_routes,
                .node = settings.node,
                .turns = settings.turns,
                .fleet = settings.fleet,
                .peers = settings.peers},
        keystone(keystone_of(endpoints.tcp, io, settings.default_project_id)),
        sources{.turns = settings.turns,
                .events = &events,
                .vip_routes = settings.vip_routes,
                .fleet = settings.fleet,
                .records = settings.records,
                .peers = settings.peers,
                .rows = &metric_rows,
                .version = settings.version,
                .revision = settings.revision,
                .certificate_end = endpoints.tcp && endpoints.tcp->tls
                                       ? certificate_end(*endpoints.tcp->tls)
                                       : std::nullopt},
        options(std::move(settings)),
        socket_file(std::move(endpoints.socket)) {
    if (!endpoints.tcp) return;
    access = endpoints.tcp->access;
    page.emplace(
        io, controller, events, std::string(options.version), context.fleet, context.peers,
        [this](const Request& request, Page::Done done) {
          answer(context, request, std::move(done));
        },
        [this](const Request& request) {
          const auto session = session_in(request.cookies);
          return session.empty() || !access->takes_tokens() || access->has_session(session);
        });
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  using Done = HttpListenerOptions::Done;

  void answer_api(Request request, const Peer& peer, Done done) const {
    if (peer.address.empty()) request.who.name = fmt::format("uid {}", peer.uid);
    request.who.peer = peer_text(peer);
    auto told = [on_exchange = options.on_exchange, list = &events, who = request.who,
                 method = request.method, target = request.target, id = request.id, peer,
                 done = std::move(done)](Response response) {
      if (!id.empty()) response.request_id = id;
      note_refusal(*list, who, method, target, response);
      if (on_exchange) {
        on_exchange({method, target, response.status, response.request_id, peer,
                     response.internal_error, who.name});
      }
      done(std::move(response));
    };
    if (asks_for_metrics(request) && request.who.role != Role::member) {
      return answer_with_metrics(context.controller, sources, std::move(told));
    }
    answer(context, request, std::move(told));
  }

  // Every answer of the identity service is logged; its failures are reported like other denied
  // requests.
  void answer_tcp(const Request& request, const Peer& peer, Done done) {
    if (Page::serves(request.target)) return answer_page(request, peer, std::move(done));
    if (!keystone || !Keystone::serves(request.target)) {
      return answer_api(request, peer, std::move(done));
    }
    const auto told = [this, method = request.method, path = std::string(path_of(request.target)),
                       peer, name = request.who.name,
                       done = std::move(done)](Keystone::Outcome outcome) {
      auto& response = outcome.response;
      if (!outcome.failure.empty()) {
        tell_denied(method, path, peer, {response.status, "sign in: " + outcome.failure});
      } else if (options.on_exchange) {
        options.on_exchange({method, path, response.status, response.request_id, peer,
                             response.internal_error, name.empty() ? outcome.user : name});
      }
      done(std::move(response));
    };
    keystone->answer(request, address_of(peer), told);
  }

  // Signing in is logged like a change, and its failures like other denied requests.
  void answer_page(Request request, const Peer& peer, const Done& done) {
    request.who.peer = peer_text(peer);
    const auto path = std::string(path_of(request.target));
    if (path != page_paths::session) {
      return page->answer(request, [this, path, peer, who = request.who, done](Response response) {
        note_refusal(events, who, "GET", path, response);
        if (options.on_exchange) {
          options.on_exchange({"GET", path, response.status, response.request_id, peer,
                               response.internal_error, who.name});
        }
        done(std::move(response));
      });
    }
    auto answered = answer_at_door(*access, request);
    protect(answered.response);
    if (answered.denial) {
      tell_denied(request.method, path, peer, *answered.denial);
    } else if (options.on_exchange) {
      options.on_exchange({request.method,
                           path,
                           answered.response.status,
                           answered.response.request_id,
                           peer,
                           {},
                           answered.name});
    }
    done(std::move(answered.response));
  }

  static void note_refusal(Events& events, const Identity& who, const std::string& method,
                           std::string_view target, const Response& response) {
    const bool reads = method == "GET" || method == "HEAD";
    const bool of_interest = !reads || response.status == 403 || response.status >= 500;
    if (response.status < 400 || !of_interest) return;
    events.add({.kind = "refused",
                .who = who.name,
                .peer = who.peer,
                .message = fmt::format("{} {} -> {} {}", method, path_of(target), response.status,
                                       fault_of(response)),
                .object = {},
                .before = {},
                .after = {},
                .request_id = response.request_id,
                .project = who.role == Role::member ? who.project : std::string()});
  }

  // The metrics' address, which everyone may read, serves nothing else.
  void answer_metrics(const Request& request, const Done& done) const {
    if (asks_for_metrics(request)) return answer_with_metrics(context.controller, sources, done);
    done(http_fault(404, "Only GET /metrics is served here."));
  }

  Admission admit(const Access& access, const Credentials& who, const Peer& peer) {
    auto admitted = access.admit(who);
    if (admitted) return std::move(*admitted);
    tell_denied(who.method, who.target, peer, admitted.error());
    return tl::unexpected(http_fault(admitted.error().status, admitted.error().text));
  }

  void tell_denied(std::string_view method, std::string_view target, const Peer& peer,
                   const Denial& denial) {
    const auto [pass, kept_back] = denials.ask(std::chrono::steady_clock::now());
    if (!pass) return;
    // The query is left out of the log, because somebody may have put a secret there by mistake.
    const auto path = printable(path_of(target).substr(0, longest_path));
    events.add({.kind = "denied",
                .peer = peer.address,
                .message = fmt::format("{} {} -> {} {}", method, path, denial.status, denial.text),
                .object = {},
                .before = {},
                .after = {}});
    if (!options.on_denied) return;
    options.on_denied({std::string(method), path, denial.status, peer, denial.text, kept_back});
  }

  static constexpr std::size_t longest_path = 200;

  Events& events;
  Context context;
  std::optional<Keystone> keystone;  // unset: no identity service
  MetricRows metric_rows;
  const MetricsSources sources;
  Options options;
  std::optional<Access> access;  // to the API over TCP; unset: there is none, and no page
  std::optional<Page> page;
  Throttle denials{10, std::chrono::minutes(1)};
  UnixSocket socket_file;
  std::vector<HttpListener> listeners;
};

Server::Server(boost::asio::io_context& context, control::Controller& controller,
               Endpoints endpoints, Options options)
    : state_(std::make_unique<State>(context, controller, std::move(options), endpoints)) {
  auto* state = state_.get();
  const auto answer = [state](const Request& request, const Peer& peer, State::Done done) {
    state->answer_api(request, peer, std::move(done));
  };
  const auto places =
      places_of_each(1U + (endpoints.tcp ? 1U : 0U) + (endpoints.metrics ? 1U : 0U));
  auto& listeners = state_->listeners;
  listeners.emplace_back(context,
                         HttpListenerOptions{.descriptor = state_->socket_file.release_descriptor(),
                                             .respond = answer,
                                             .places = places});
  if (auto& tcp = endpoints.tcp) {
    const auto answer_tcp = [state](const Request& request, const Peer& peer, State::Done done) {
      state->answer_tcp(request, peer, std::move(done));
    };
    const auto admit = [state, access = tcp->access](const Credentials& who, const Peer& peer) {
      return state->admit(access, who, peer);
    };
    listeners.emplace_back(context,
                           HttpListenerOptions{.descriptor = tcp->socket.release_descriptor(),
                                               .tls = tcp->tls,
                                               .admit = admit,
                                               .respond = answer_tcp,
                                               .places = places});
  }
  if (auto& metrics = endpoints.metrics) {
    // Everybody may read the metrics under any host name, but foreign web pages may not.
    const auto admit = [](const Credentials& who, const Peer&) -> Admission {
      if (!is_from_a_foreign_page(who)) return Identity{};
      return tl::unexpected(http_fault(403, "A web page may not use this service."));
    };
    listeners.emplace_back(
        context,
        HttpListenerOptions{
            .descriptor = metrics->release_descriptor(),
            .admit = admit,
            .respond = [state](const Request& request, const Peer&,
                               const State::Done& done) { state->answer_metrics(request, done); },
            .places = places});
  }
}

Server::Server(Server&&) noexcept = default;
Server::~Server() = default;

}  // namespace sluice::api
