// One coroutine accepts connections, and one per connection reads requests from its Wire and writes
// the answers. All run on one thread, so answering needs no locks. A client that is slow or sends
// garbage only holds its own coroutine, and not for longer than the idle time.
#include "api/server/http_listener.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <list>

#include "api/language/fault.hpp"
#include "api/language/feed.hpp"
#include "api/language/pieces.hpp"
#include "api/server/incoming_request.hpp"
#include "api/server/wire.hpp"

namespace sluice::api {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace {

using boost::system::error_code;
using std::chrono::seconds;
using std::chrono::steady_clock;
using Protocol = asio::generic::stream_protocol;  // unix or TCP
using Socket = Protocol::socket;

constexpr std::size_t buffer_limit = 64 * 1024;  // of what is read and not parsed yet
constexpr std::chrono::hours answer_limit{24};
constexpr seconds handshake_limit{10};
constexpr seconds farewell_limit{2};
// A connection for which we have waited this long may be closed to make room for another.
constexpr seconds patience{1};

constexpr auto awaited = asio::as_tuple(asio::use_awaitable);

// What to read: the message's header, or all of it.
enum class Extent { header, all };
asio::awaitable<error_code> read(Wire& wire, beast::flat_buffer& buffer, IncomingRequest& incoming,
                                 Extent extent) {
  // Lets other connections have a turn, because a client may have sent many requests at once.
  co_await asio::post(asio::use_awaitable);
  while (extent == Extent::header ? !incoming.has_header() : !incoming.is_whole()) {
    const auto bytes = buffer.cdata();
    error_code error;
    const auto taken = incoming.take({static_cast<const char*>(bytes.data()), bytes.size()}, error);
    if (error) co_return error;
    buffer.consume(taken);
    if (taken != 0) continue;
    if (buffer.size() == buffer.max_size()) co_return IncomingRequest::header_too_large();
    const auto space = buffer.prepare(std::min(buffer.max_size() - buffer.size(), buffer_limit));
    const auto [failure, size] =
        co_await wire.read_some({static_cast<char*>(space.data()), space.size()});
    if (failure) co_return failure;
    buffer.commit(size);
  }
  co_return error_code();
}

// Chunks of a body (RFC 9112, 7.1) begin with their size in so many bytes.
constexpr std::size_t chunk_head = std::string_view("0001f400\r\n").size();

// Makes a chunk of the bytes behind the first `chunk_head`. An empty one would end the body.
void end_chunk(std::string& bytes, bool last) {
  const auto size = bytes.size() - chunk_head;
  if (size == 0) {
    bytes.clear();
  } else {
    fmt::format_to(bytes.begin(), "{:08x}\r\n", size);
    bytes += "\r\n";
  }
  if (last) bytes += "0\r\n\r\n";
}

// Sends the answer, and its body unless it answers HEAD. A large body is not copied behind its
// head.
asio::awaitable<error_code> write(Wire& wire, const Response& response, bool goes_on,
                                  bool to_head) {
  constexpr std::size_t large = 256 * 1024;
  if (!to_head && response.body.size() < large) {
    const auto answer = as_http(response, goes_on);
    co_return co_await wire.write(answer);
  }
  const auto head = head_of(response, goes_on);
  const auto error = co_await wire.write(head);
  if (error || to_head) co_return error;
  co_return co_await wire.write(response.body);
}

Peer peer_of(const Socket& socket, const Protocol::endpoint& remote) {
  Peer peer;
  auto& handle = const_cast<Socket&>(socket);  // native_handle() is not const
  if (remote.data()->sa_family == AF_UNIX) {
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(handle.native_handle(), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
      peer.pid = who.pid;
      peer.uid = who.uid;
    }
    return peer;
  }
  asio::ip::tcp::endpoint tcp;
  tcp.resize(std::min(remote.size(), tcp.capacity()));
  std::copy_n(reinterpret_cast<const char*>(remote.data()), tcp.size(),
              reinterpret_cast<char*>(tcp.data()));
  peer.address = fmt::format("{}:{}", tcp.address().to_string(), tcp.port());
  return peer;
}

// A connection that takes a place, from accept to its end.
struct Connection {
  Peer peer;
  Wire* stream = nullptr;
  steady_clock::time_point waiting_since = steady_clock::now();  // for a request or its taking
  std::string certificate = {};  // the common name of the one that the client showed
  bool known = false;            // a request was admitted; until then it is a newcomer
};

// An answer that a coroutine waits for.
struct Expected {
  explicit Expected(const asio::any_io_executor& executor)
      : bell(executor, steady_clock::time_point::max()) {}
  std::optional<Response> response;
  asio::steady_timer bell;
};

// The common name of the certificate that the client showed and OpenSSL verified.
std::string certificate_of(Wire& stream) {
  auto* certificate = SSL_get1_peer_certificate(stream.tls());
  if (certificate == nullptr) return {};
  std::array<char, 256> name{};
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                             name.data(), static_cast<int>(name.size()));
  X509_free(certificate);
  return size > 0 ? std::string(name.data(), static_cast<std::size_t>(size)) : std::string();
}

}  // namespace

struct HttpListener::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, HttpListenerOptions settings)
      : options(std::move(settings)), acceptor(io), retry(io) {
    acceptor.assign(Protocol(family_of(options.descriptor), 0), options.descriptor);
  }

  static int family_of(int descriptor) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
    return address.ss_family;
  }

  asio::awaitable<void> accept();
  bool make_room();
  void end(std::list<Connection*>::iterator connection);
  void turn_away(Socket socket);
  asio::awaitable<void> serve(Socket socket, Peer peer);
  asio::awaitable<void> converse(Connection& connection, Wire& stream);
  asio::awaitable<bool> exchange(Connection& connection, Wire& stream, beast::flat_buffer& buffer);
  asio::awaitable<error_code> send(Wire& stream, const Response& response, bool goes_on,
                                   const IncomingRequest& to);
  asio::awaitable<error_code> send_pieces(Wire& stream, Pieces& pieces, bool in_chunks);
  asio::awaitable<void> pass_on(Connection& connection, Wire& stream, Feed& feed);
  asio::awaitable<void> refuse(Wire& stream, Response response);
  asio::awaitable<std::optional<Response>> answer_of(Request request, Connection& connection,
                                                     Wire& stream);
  void stop();

  HttpListenerOptions options;
  asio::basic_socket_acceptor<Protocol> acceptor;
  asio::steady_timer retry;
  std::list<Connection*> connections;
  std::list<Connection*> readers;  // of feeds: they take no place
  bool stopped = false;
  std::weak_ptr<void> large_body;  // lives while one is read and answered
};

asio::awaitable<void> HttpListener::State::accept() {
  const auto self = shared_from_this();
  while (!stopped) {
    Protocol::endpoint remote;
    auto [error, socket] = co_await acceptor.async_accept(remote, awaited);
    if (stopped) break;
    if (error) {
      // We are most likely out of descriptors: wait for some to be closed instead of spinning.
      retry.expires_after(seconds(1));
      co_await retry.async_wait(awaited);
    } else if (!make_room()) {
      turn_away(std::move(socket));
    } else {
      auto peer = peer_of(socket, remote);
      auto connection = [self, socket = std::move(socket), peer = std::move(peer)]() mutable {
        return self->serve(std::move(socket), std::move(peer));
      };
      asio::co_spawn(acceptor.get_executor(), std::move(connection), asio::detached);
    }
  }
}

// Makes a place for one more, if need be by closing another connection. Newcomers are listed in the
// order in which they came, so the first one had the longest time to identify itself.
bool HttpListener::State::make_room() {
  const auto newcomers = std::ranges::count_if(connections, [](auto* one) { return !one->known; });
  const auto for_newcomers = std::max<std::size_t>(options.places / 2, 1);
  if (static_cast<std::size_t>(newcomers) >= for_newcomers) {
    end(std::ranges::find_if(connections, [](auto* one) { return !one->known; }));
  }
  if (connections.size() < options.places) return true;
  const auto oldest = std::min_element(
      connections.begin(), connections.end(),
      [](const auto* a, const auto* b) { return a->waiting_since < b->waiting_since; });
  if (steady_clock::now() - (*oldest)->waiting_since < patience) return false;
  end(oldest);
  return true;
}

void HttpListener::State::end(std::list<Connection*>::iterator connection) {
  (*connection)->stream->close();
  connections.erase(connection);
}

// Answers without waiting for the client, because the answer fits the socket's buffer.
void HttpListener::State::turn_away(Socket socket) {
  if (options.tls) return;  // no answer is possible before a handshake
  const auto message =
      as_http(http_fault(503, fmt::format("{} connections are open already, which is the limit: "
                                          "close some or try again later.",
                                          options.places)),
              false);
  error_code error;
  socket.native_non_blocking(true, error);
  ::send(socket.native_handle(), message.data(), message.size(), MSG_NOSIGNAL);
}

asio::awaitable<void> HttpListener::State::serve(Socket socket, Peer peer) {
  const auto self = shared_from_this();
  Connection connection{std::move(peer)};
  connections.push_back(&connection);
  try {
    Wire stream(std::move(socket), options.tls ? options.tls->native_handle() : nullptr);
    connection.stream = &stream;
    if (options.tls) {
      stream.expires_after(handshake_limit);
      const auto error = co_await stream.handshake();
      if (!error) {
        connection.certificate = certificate_of(stream);
        co_await converse(connection, stream);
        stream.expires_after(farewell_limit);
        co_await stream.farewell();
      }
    } else {
      co_await converse(connection, stream);
    }
  } catch (const std::exception&) {
    // Only memory can run out here, and then this connection ends.
  }
  connections.remove(&connection);
  readers.remove(&connection);
}

asio::awaitable<void> HttpListener::State::converse(Connection& connection, Wire& stream) {
  beast::flat_buffer buffer(buffer_limit);
  while (!stopped && co_await exchange(connection, stream, buffer)) {
    connection.waiting_since = steady_clock::now();
  }
}

// Serves one request; returns false if the connection must end.
asio::awaitable<bool> HttpListener::State::exchange(Connection& connection, Wire& stream,
                                                    beast::flat_buffer& buffer) {
  IncomingRequest incoming;
  stream.expires_after(options.patience);
  auto error = co_await read(stream, buffer, incoming, Extent::header);
  Identity who;
  std::shared_ptr<void> large;  // while this one's body is
  if (!error) {
    if (auto unclear = incoming.framing_problem()) {
      co_await refuse(stream, std::move(*unclear));
      co_return false;
    }
    auto credentials = incoming.credentials();
    credentials.tls = options.tls != nullptr;
    credentials.certificate = connection.certificate;
    auto admitted = options.admit ? options.admit(credentials, connection.peer) : Admission(who);
    if (!admitted) {
      co_await refuse(stream, std::move(admitted.error()));
      co_return false;
    }
    who = std::move(*admitted);
    connection.known = connection.known || !who.name.empty();
    auto room = who.name.empty() ? IncomingRequest::Room::strangers : IncomingRequest::Room::usual;
    if (!who.name.empty() && incoming.is_large()) {
      if (!large_body.expired()) {
        co_await refuse(stream, http_fault(503, "Another large request is being answered."));
        co_return false;
      }
      large_body = large = std::make_shared<int>();
      room = IncomingRequest::Room::large;
    }
    error = incoming.limit_body(room);
  }
  if (!error && incoming.expects_continue()) {
    error = co_await stream.write("HTTP/1.1 100 Continue\r\n\r\n");
  }
  if (!error) {
    error = co_await read(stream, buffer, incoming, Extent::all);
  }
  if (stopped) co_return false;
  if (error) {
    if (auto answer = incoming.answer_to(error)) co_await refuse(stream, std::move(*answer));
    co_return false;
  }
  auto request = incoming.request();
  request.scheme = options.tls ? "https" : "http";
  request.who = std::move(who);
  stream.expires_after(answer_limit);
  const auto response = co_await answer_of(std::move(request), connection, stream);
  if (!response) co_return false;
  // A body without a length ends with the connection.
  const bool ends = response->feed || (response->pieces && !incoming.takes_chunks());
  const bool goes_on = incoming.keeps_alive() && !ends;
  stream.expires_after(options.patience);
  error = co_await send(stream, *response, goes_on, incoming);
  if (response->feed && !error) co_await pass_on(connection, stream, *response->feed);
  if (response->feed) response->feed->end();
  co_return !error && goes_on;
}

asio::awaitable<error_code> HttpListener::State::send(Wire& stream, const Response& response,
                                                      bool goes_on, const IncomingRequest& to) {
  if (!response.pieces) co_return co_await write(stream, response, goes_on, to.is_head());
  const auto head = head_of(response, goes_on, to.takes_chunks());
  const auto error = co_await stream.write(head);
  if (error || to.is_head()) co_return error;
  co_return co_await send_pieces(stream, *response.pieces, to.takes_chunks());
}

asio::awaitable<error_code> HttpListener::State::send_pieces(Wire& stream, Pieces& pieces,
                                                             bool in_chunks) {
  std::string bytes;  // the same memory for all of them
  for (bool last = false; !last;) {
    // Lets others have a turn, also when the client reads as fast as we write.
    co_await asio::post(asio::use_awaitable);
    if (stopped) co_return asio::error::operation_aborted;
    bytes.assign(in_chunks ? chunk_head : 0, ' ');
    last = pieces.append_next(bytes);
    if (in_chunks) end_chunk(bytes, last);
    if (const auto error = co_await stream.write(bytes)) co_return error;
  }
  co_return error_code();
}

// Sends what comes through the feed until one side ends it. Its connection leaves its place to
// others: whoever makes feeds limits their number.
asio::awaitable<void> HttpListener::State::pass_on(Connection& connection, Wire& stream,
                                                   Feed& feed) {
  connections.remove(&connection);
  readers.push_back(&connection);
  asio::steady_timer bell(acceptor.get_executor(), steady_clock::time_point::max());
  feed.on_news([&bell] { bell.cancel(); });
  while (!stopped && !feed.is_over()) {
    if (const auto text = feed.take()) {
      stream.expires_after(options.patience);
      if (co_await stream.write(*text)) break;
    } else {
      stream.expires_after(answer_limit);
      co_await bell.async_wait(awaited);
    }
  }
  feed.on_news({});
}

// Waits for the answer; nullopt if the listener stops first, or the client is gone. Meanwhile the
// connection may be closed to make room, like an idle one: when changes that a disk holds up take
// all places, reads still get one.
asio::awaitable<std::optional<Response>> HttpListener::State::answer_of(Request request,
                                                                        Connection& connection,
                                                                        Wire& stream) {
  connection.waiting_since = steady_clock::now();
  const auto expected = std::make_shared<Expected>(acceptor.get_executor());
  request.asker = control::Asker(expected);
  const auto weak = std::weak_ptr<Expected>(expected);
  options.respond(request, connection.peer, [weak](Response response) {
    const auto expected = weak.lock();
    if (!expected) return;  // the connection is gone
    expected->response = std::move(response);
    expected->bell.cancel();
  });
  if (!expected->response) {
    stream.watch_for_hang_up([weak] {
      if (const auto expected = weak.lock()) expected->bell.cancel();
    });
    co_await expected->bell.async_wait(awaited);
    stream.stop_watching();
  }
  if (stopped) co_return std::nullopt;
  co_return std::move(expected->response);
}

// Answers a request that was not read to its end, and reads on for a moment, because closing with
// unread bytes would lose the answer to a client that is still sending.
asio::awaitable<void> HttpListener::State::refuse(Wire& stream, Response response) {
  const auto message = as_http(response, false);
  stream.expires_after(farewell_limit);
  auto error = co_await stream.write(message);
  stream.shutdown_send();
  while (!error && !stopped) error = co_await stream.skip_some();
}

void HttpListener::State::stop() {
  stopped = true;
  error_code ignored;
  acceptor.close(ignored);
  retry.cancel();
  for (auto* list : {&connections, &readers}) {
    for (auto* connection : *list) {
      if (connection->stream) connection->stream->cancel();
    }
  }
}

HttpListener::HttpListener(asio::io_context& context, HttpListenerOptions options)
    : state_(std::make_shared<State>(context, std::move(options))) {
  asio::co_spawn(
      context, [state = state_] { return state->accept(); }, asio::detached);
}

HttpListener::HttpListener(HttpListener&&) noexcept = default;

HttpListener::~HttpListener() {
  if (state_) state_->stop();
}

}  // namespace sluice::api
