#include "api/server/wire.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <new>

namespace sluice::api {
namespace asio = boost::asio;
namespace {

constexpr auto awaited = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t record_size = 16 * 1024;       // TLS has no larger ones
constexpr std::size_t most_in_a_turn = 1024 * 1024;  // of the event loop

// Sets up OpenSSL between two buffers, so that it never touches the socket: it would write without
// MSG_NOSIGNAL, and a peer that is gone could kill the process.
ssl_st* new_session(ssl_ctx_st* context) {
  auto* session = SSL_new(context);
  auto* in = BIO_new(BIO_s_mem());
  auto* out = BIO_new(BIO_s_mem());
  if (session == nullptr || in == nullptr || out == nullptr) throw std::bad_alloc();
  SSL_set_bio(session, in, out);
  SSL_set_accept_state(session);
  return session;
}

}  // namespace

// The deadline's handler keeps this alive while it waits in the loop's queue, beyond the Wire's
// end.
struct Wire::State {
  explicit State(Socket accepted) : socket(std::move(accepted)), deadline(socket.get_executor()) {}

  asio::awaitable<Error> wait(Socket::wait_type until) {
    if (cancelled) co_return asio::error::operation_aborted;
    const auto [error] = co_await socket.async_wait(until, awaited);
    co_return error;
  }
  void close() {
    Error ignored;
    socket.close(ignored);
  }

  Socket socket;
  asio::steady_timer deadline;
  bool cancelled = false;
};

void Wire::FreeSession::operator()(ssl_st* session) const {
  SSL_free(session);
}

Wire::Wire(Socket socket, ssl_ctx_st* tls) : state_(std::make_shared<State>(std::move(socket))) {
  Error error;
  state_->socket.native_non_blocking(true, error);
  if (error) state_->close();
  if (tls != nullptr) tls_.reset(new_session(tls));
}

Wire::~Wire() {
  state_->deadline.cancel();
  state_->close();
}

void Wire::expires_after(std::chrono::steady_clock::duration duration) {
  state_->deadline.expires_after(duration);
  state_->deadline.async_wait([weak = std::weak_ptr<State>(state_)](const Error& cancelled) {
    const auto state = weak.lock();
    // The deadline may have been moved while this handler waited to run.
    if (cancelled || !state || state->deadline.expiry() > std::chrono::steady_clock::now()) return;
    state->close();
  });
}

void Wire::close() {
  state_->close();
}

void Wire::cancel() {
  state_->cancelled = true;
  Error ignored;
  state_->socket.cancel(ignored);
}

void Wire::shutdown_send() {
  Error ignored;
  state_->socket.shutdown(Socket::shutdown_send, ignored);
}

void Wire::watch_for_hang_up(std::function<void()> gone) {
  state_->socket.async_wait(Socket::wait_error, [gone = std::move(gone)](const Error& stopped) {
    if (!stopped) gone();
  });
}

void Wire::stop_watching() {
  Error ignored;
  state_->socket.cancel(ignored);
}

Wire::Awaitable<Wire::Read> Wire::receive(std::span<char> into) {
  for (;;) {
    // Always waits, even if there are bytes already, so that a peer that never stops sending lets
    // others have a turn.
    const auto error = co_await state_->wait(Socket::wait_read);
    if (error) co_return Read{error};
    const auto got = ::recv(state_->socket.native_handle(), into.data(), into.size(), 0);
    if (got > 0) co_return Read{{}, static_cast<std::size_t>(got)};
    if (got == 0) co_return Read{asio::error::eof};
    if (errno != EAGAIN && errno != EINTR) {
      co_return Read{Error(errno, boost::system::system_category())};
    }
  }
}

Wire::Awaitable<Wire::Error> Wire::send(std::string_view bytes) {
  std::size_t in_this_turn = 0;
  while (!bytes.empty()) {
    // A peer that reads as fast as we write must let others have their turn, too.
    if (in_this_turn >= most_in_a_turn) {
      if (const auto error = co_await state_->wait(Socket::wait_write)) co_return error;
      in_this_turn = 0;
    }
    const auto part = bytes.substr(0, most_in_a_turn);
    const auto sent =
        ::send(state_->socket.native_handle(), part.data(), part.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      in_this_turn += static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return Error(errno, boost::system::system_category());
    if (const auto error = co_await state_->wait(Socket::wait_write)) co_return error;
  }
  co_return Error();
}

Wire::Awaitable<Wire::Error> Wire::skip_some() {
  std::array<char, record_size> rest;
  co_return (co_await receive(rest)).error;
}

// Sends what OpenSSL has to say.
Wire::Awaitable<Wire::Error> Wire::send_records() {
  auto* out = SSL_get_wbio(tls_.get());
  std::array<char, record_size> buffer;
  for (int size; (size = BIO_read(out, buffer.data(), static_cast<int>(buffer.size()))) > 0;) {
    const std::string_view records(buffer.data(), static_cast<std::size_t>(size));
    if (const auto error = co_await send(records)) co_return error;
  }
  co_return Error();
}

// Does what a call of OpenSSL that returned this needs; unless this fails, the call is repeated.
Wire::Awaitable<Wire::Error> Wire::go_on(int returned) {
  // OpenSSL's error queue belongs to the thread, so it must be read before another coroutine's
  // turn.
  const int why = SSL_get_error(tls_.get(), returned);
  ERR_clear_error();
  const auto unsent = co_await send_records();
  if (why == SSL_ERROR_ZERO_RETURN) co_return asio::error::eof;
  if (why != SSL_ERROR_WANT_READ) co_return asio::error::connection_aborted;
  if (unsent) co_return unsent;
  std::array<char, record_size> buffer;
  const auto got = co_await receive(buffer);
  if (got.error) co_return got.error;
  BIO_write(SSL_get_rbio(tls_.get()), buffer.data(), static_cast<int>(got.size));
  co_return Error();
}

Wire::Awaitable<Wire::Error> Wire::handshake() {
  for (int returned; (returned = SSL_do_handshake(tls_.get())) != 1;) {
    if (const auto error = co_await go_on(returned)) co_return error;
  }
  co_return co_await send_records();
}

Wire::Awaitable<Wire::Error> Wire::farewell() {
  // 0: our close_notify is sent, and the next call looks for the peer's.
  for (int returned; (returned = SSL_shutdown(tls_.get())) != 1;) {
    Error error;
    if (returned == 0) {
      error = co_await send_records();
    } else {
      error = co_await go_on(returned);
    }
    if (error) co_return error;
  }
  co_return co_await send_records();
}

Wire::Awaitable<Wire::Read> Wire::read_some(std::span<char> into) {
  if (!tls_) co_return co_await receive(into);
  for (;;) {
    const int size = SSL_read(tls_.get(), into.data(), static_cast<int>(into.size()));
    if (size > 0) co_return Read{{}, static_cast<std::size_t>(size)};
    if (const auto error = co_await go_on(size)) co_return Read{error};
  }
}

Wire::Awaitable<Wire::Error> Wire::write(std::string_view bytes) {
  if (!tls_) co_return co_await send(bytes);
  for (std::size_t records = 1; !bytes.empty(); ++records) {
    if (records % (most_in_a_turn / record_size) == 0) {
      if (const auto error = co_await state_->wait(Socket::wait_write)) co_return error;
    }
    const auto part = bytes.substr(0, record_size);
    const int size = SSL_write(tls_.get(), part.data(), static_cast<int>(part.size()));
    if (size > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(size));
      if (const auto error = co_await send_records()) co_return error;
    } else if (const auto error = co_await go_on(size)) {
      co_return error;
    }
  }
  co_return Error();
}

}  // namespace sluice::api
