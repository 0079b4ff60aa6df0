// HTTP on a unix socket with Boost.Beast: one coroutine accepts, one per connection reads requests
// and writes what handle() answers. All on one thread, so handle() needs no locks; a client that is
// slow or sends garbage only holds its own coroutine, and not for longer than the idle time.
#include "api/server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <set>

#include "api/fault.hpp"
#include "api/routes.hpp"
#include "api/unix_socket.hpp"

namespace sluice::api {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace {

using boost::system::error_code;
using std::chrono::seconds;
using Protocol = asio::local::stream_protocol;
using Stream = beast::basic_stream<Protocol>;
using Parser = http::request_parser<http::string_body>;

constexpr std::uint32_t header_limit = 16 * 1024;
constexpr std::uint64_t body_limit = 1024 * 1024;
constexpr std::size_t buffer_limit = 64 * 1024;  // of what is read and not parsed yet
constexpr std::size_t connection_limit = 64;
constexpr seconds idle_limit{30};
constexpr seconds farewell_limit{2};

constexpr auto awaited = asio::as_tuple(asio::use_awaitable);

using HttpResponse = http::response<http::string_body>;

HttpResponse as_http(Response response, bool keep_alive) {
  HttpResponse message;
  message.result(response.status);
  message.version(11);
  message.keep_alive(keep_alive);
  message.set("x-openstack-request-id", response.request_id);
  if (!response.allow.empty()) message.set(http::field::allow, response.allow);
  if (!response.body.empty()) message.set(http::field::content_type, "application/json");
  message.body() = std::move(response.body);
  message.prepare_payload();
  return message;
}

// Keeps a connection among those that count and that stop() cancels.
class Registration {
 public:
  Registration(std::set<Stream*>& all, Stream& stream) : all_(all), stream_(&stream) {
    all_.insert(stream_);
  }
  ~Registration() { all_.erase(stream_); }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  std::set<Stream*>& all_;
  Stream* stream_;
};

// What to answer when a request can't be read; nullopt when there is nobody to answer.
std::optional<Response> answer_to(const error_code& error) {
  if (error == http::error::body_limit) {
    return http_fault(413, fmt::format("The body is larger than {} bytes.", body_limit));
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return http_fault(431, fmt::format("The header is larger than {} bytes.", header_limit));
  }
  // Nobody is left to answer after an end, an error of the socket or a timeout, which closes it.
  if (error == http::error::end_of_stream || error == http::error::partial_message ||
      error.category() != make_error_code(http::error::bad_method).category()) {
    return std::nullopt;
  }
  return http_fault(400, "The request is not valid HTTP: " + error.message());
}

}  // namespace

struct Server::State : std::enable_shared_from_this<Server::State> {
  State(asio::io_context& io, control::Controller& controller, Options settings, UnixSocket file)
      : context{controller, settings.default_project_id},
        options(std::move(settings)),
        socket_file(std::move(file)),
        acceptor(io, Protocol(), socket_file.release_descriptor()),
        retry(io) {}

  asio::awaitable<void> accept();
  asio::awaitable<void> serve(Protocol::socket socket);
  asio::awaitable<bool> exchange(Stream& stream, beast::flat_buffer& buffer);
  asio::awaitable<void> refuse(Stream& stream, Response response);
  Response respond(Stream& stream, const http::request<http::string_body>& message);
  void turn_away(Protocol::socket socket);
  void stop();

  Context context;
  Options options;
  UnixSocket socket_file;
  Protocol::acceptor acceptor;
  asio::steady_timer retry;
  std::set<Stream*> connections;
  bool stopped = false;
};

asio::awaitable<void> Server::State::accept() {
  const auto self = shared_from_this();
  while (!stopped) {
    auto [error, socket] = co_await acceptor.async_accept(awaited);
    if (stopped) break;
    if (error) {
      // Out of descriptors, most likely: wait for some to be closed instead of spinning.
      retry.expires_after(seconds(1));
      co_await retry.async_wait(awaited);
    } else if (connections.size() >= connection_limit) {
      turn_away(std::move(socket));
    } else {
      auto connection = [self, socket = std::move(socket)]() mutable {
        return self->serve(std::move(socket));
      };
      asio::co_spawn(acceptor.get_executor(), std::move(connection), asio::detached);
    }
  }
}

// Says so without waiting for the client: the answer fits the socket's buffer.
void Server::State::turn_away(Protocol::socket socket) {
  auto message =
      as_http(http_fault(503, fmt::format("{} connections are open already, which is the limit: "
                                          "close some or try again later.",
                                          connection_limit)),
              false);
  error_code error;
  socket.non_blocking(true, error);
  http::write(socket, message, error);
}

asio::awaitable<void> Server::State::serve(Protocol::socket socket) {
  Stream stream(std::move(socket));
  const Registration registration(connections, stream);
  beast::flat_buffer buffer(buffer_limit);
  try {
    while (!stopped && co_await exchange(stream, buffer)) {
    }
  } catch (const std::exception&) {
    // Nothing but memory can run out here, and then this connection is the one to end.
  }
}

// One request and its answer. False: the connection is at its end.
asio::awaitable<bool> Server::State::exchange(Stream& stream, beast::flat_buffer& buffer) {
  Parser parser;
  parser.header_limit(header_limit);
  parser.body_limit(body_limit);
  stream.expires_after(idle_limit);
  error_code error;
  std::tie(error, std::ignore) = co_await http::async_read_header(stream, buffer, parser, awaited);
  if (!error && beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    http::response<http::empty_body> go_on(http::status::continue_, 11);
    std::tie(error, std::ignore) = co_await http::async_write(stream, go_on, awaited);
  }
  if (!error) {
    std::tie(error, std::ignore) = co_await http::async_read(stream, buffer, parser, awaited);
  }
  if (stopped) co_return false;
  if (error) {
    const auto answer = answer_to(error);
    if (answer) co_await refuse(stream, *answer);
    co_return false;
  }
  auto answer = as_http(respond(stream, parser.get()), parser.get().keep_alive());
  if (parser.get().method() == http::verb::head) answer.body().clear();
  stream.expires_after(idle_limit);
  std::tie(error, std::ignore) = co_await http::async_write(stream, answer, awaited);
  co_return !error && answer.keep_alive();
}

// Answers a request that was not read to its end, and reads on for a moment: closing on unread
// bytes would take the answer away from a client that is still sending.
asio::awaitable<void> Server::State::refuse(Stream& stream, Response response) {
  auto message = as_http(std::move(response), false);
  stream.expires_after(farewell_limit);
  auto [error, written] = co_await http::async_write(stream, message, awaited);
  error_code ignored;
  stream.socket().shutdown(Protocol::socket::shutdown_send, ignored);
  std::array<char, 16 * 1024> rest;
  while (!error && !stopped) {
    std::tie(error, written) = co_await stream.async_read_some(asio::buffer(rest), awaited);
  }
}

Response Server::State::respond(Stream& stream, const http::request<http::string_body>& message) {
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  request.body = message.body();
  request.content_type = std::string(message[http::field::content_type]);
  if (auto host = message[http::field::host]; !host.empty()) request.host = std::string(host);
  auto response = handle(context, request);
  if (!options.on_exchange) return response;

  Exchange exchange{
      request.method,         request.target,         response.status, response.request_id, -1,
      static_cast<uid_t>(-1), response.internal_error};
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(stream.socket().native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    exchange.peer_pid = peer.pid;
    exchange.peer_uid = peer.uid;
  }
  options.on_exchange(exchange);
  return response;
}

void Server::State::stop() {
  stopped = true;
  const UnixSocket gone = std::move(socket_file);  // takes the file away now
  error_code ignored;
  acceptor.close(ignored);
  retry.cancel();
  for (auto* stream : connections) stream->cancel();
}

Result<Server> Server::listen(asio::io_context& context, control::Controller& controller,
                              Options options) {
  auto file = UnixSocket::listen(options.socket);
  if (!file) return tl::unexpected(file.error());
  auto state = std::make_shared<State>(context, controller, std::move(options), std::move(*file));
  asio::co_spawn(
      context, [state] { return state->accept(); }, asio::detached);
  return Server(std::move(state));
}

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Server::~Server() {
  if (state_) state_->stop();
}

}  // namespace sluice::api
