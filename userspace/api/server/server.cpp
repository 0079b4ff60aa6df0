#include "api/server/server.hpp"

#include "api/handlers/metrics.hpp"
#include "api/handlers/routes.hpp"
#include "api/language/fault.hpp"

namespace sluice::api {
namespace {

Response metrics_page(control::Controller& controller) {
  Response response;
  response.request_id = new_request_id();
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics(controller);
  return response;
}

// The path without its query.
std::string_view path_of(const Request& request) {
  return std::string_view(request.target).substr(0, request.target.find('?'));
}

bool asks_for_metrics(const Request& request) {
  return path_of(request) == "/metrics" && (request.method == "GET" || request.method == "HEAD");
}

}  // namespace

struct Server::State {
  State(control::Controller& controller, Options settings, UnixSocket file)
      : context{controller, settings.default_project_id},
        options(std::move(settings)),
        socket_file(std::move(file)) {}

  using Done = HttpListenerOptions::Done;

  void answer_api(const Request& request, const Peer& peer, Done done) const {
    auto told = [on_exchange = options.on_exchange, method = request.method,
                 target = request.target, peer, done = std::move(done)](Response response) {
      if (on_exchange) {
        on_exchange(
            {method, target, response.status, response.request_id, peer, response.internal_error});
      }
      done(std::move(response));
    };
    if (asks_for_metrics(request)) return told(metrics_page(context.controller));
    answer(context, request, std::move(told));
  }

  // Where everyone may look, there is nothing but numbers.
  Response answer_metrics(const Request& request) const {
    if (asks_for_metrics(request)) return metrics_page(context.controller);
    return http_fault(404, "Only GET /metrics is served here.");
  }

  Context context;
  Options options;
  UnixSocket socket_file;
  std::vector<HttpListener> listeners;
};

Server::Server(boost::asio::io_context& context, control::Controller& controller,
               Endpoints endpoints, Options options)
    : state_(std::make_unique<State>(controller, std::move(options), std::move(endpoints.socket))) {
  const auto* state = state_.get();
  const auto answer = [state](const Request& request, const Peer& peer, State::Done done) {
    state->answer_api(request, peer, std::move(done));
  };
  auto& listeners = state_->listeners;
  listeners.emplace_back(context,
                         HttpListenerOptions{.descriptor = state_->socket_file.release_descriptor(),
                                             .respond = answer});
  if (auto& tcp = endpoints.tcp) {
    const auto admit = [access = tcp->access](const Credentials& who) -> std::optional<Response> {
      auto refusal = access.refusal(who);
      if (!refusal) return std::nullopt;
      return http_fault(401, std::move(*refusal));
    };
    listeners.emplace_back(context,
                           HttpListenerOptions{.descriptor = tcp->socket.release_descriptor(),
                                               .tls = tcp->tls,
                                               .admit = admit,
                                               .respond = answer});
  }
  if (auto& metrics = endpoints.metrics) {
    listeners.emplace_back(
        context, HttpListenerOptions{.descriptor = metrics->release_descriptor(),
                                     .respond = [state](const Request& request, const Peer&,
                                                        const State::Done& done) {
                                       done(state->answer_metrics(request));
                                     }});
  }
}

Server::Server(Server&&) noexcept = default;
Server::~Server() = default;

}  // namespace sluice::api
