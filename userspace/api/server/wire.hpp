// Wire: an accepted connection, plain or in TLS, with a deadline, for coroutines.
//
// Its only asynchronous operation is waiting until the socket can be read or written; all else are
// plain calls of the kernel and OpenSSL. Asio's and Beast's streams do the same with nested
// templates, which cost a minute of compiling and 2 GB per stream type.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

struct ssl_ctx_st;
struct ssl_st;

namespace sluice::api {

class Wire {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;  // unix or TCP
  using Error = boost::system::error_code;
  template <typename T>
  using Awaitable = boost::asio::awaitable<T>;

  explicit Wire(Socket socket, ssl_ctx_st* tls = nullptr);  // null: plain
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // Sets the deadline: the connection is closed after that long, which ends a wait with an error.
  void expires_after(std::chrono::steady_clock::duration duration);
  void close();
  void cancel();         // ends this and all further waits; calls that need not wait still work
  void shutdown_send();  // tells the peer that no more bytes come

  Awaitable<Error> handshake();  // in TLS, before all else
  Awaitable<Error> farewell();   // in TLS: sends close_notify and waits for the peer's

  // Reads at least one byte; eof at the peer's end. `size` is 0 with an error.
  struct Read {
    Error error;
    std::size_t size = 0;
  };
  Awaitable<Read> read_some(std::span<char> into);
  Awaitable<Error> write(std::string_view bytes);
  // Calls back when the peer has gone for good, until told to stop. Nothing else may be waited for
  // meanwhile. A peer that has only ended its sending may still want an answer; over TCP a peer
  // that closes looks the same, so it is not noticed.
  void watch_for_hang_up(std::function<void()> gone);
  void stop_watching();
  // Reads raw bytes from the socket and drops them.
  Awaitable<Error> skip_some();

  ssl_st* tls() { return tls_.get(); }  // null: plain

 private:
  struct State;
  struct FreeSession {
    void operator()(ssl_st* session) const;
  };

  Awaitable<Read> receive(std::span<char> into);
  Awaitable<Error> send(std::string_view bytes);
  Awaitable<Error> go_on(int returned);
  Awaitable<Error> send_records();

  std::shared_ptr<State> state_;
  std::unique_ptr<ssl_st, FreeSession> tls_;
};

}  // namespace sluice::api
