// Wire: a connection that was accepted, plain or in TLS, for coroutines, with a deadline.
//
// Only one kind of asynchronous operation is used, waiting until the socket can be read or written:
// everything else is the kernel's and OpenSSL's plain calls. Asio's and Beast's streams do the same
// with templates over templates, which cost a minute of compiling and 2 GB for each stream type.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstddef>
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

  // From now on, until it is called again: the connection is closed after that long, which ends
  // what is waited for with an error.
  void expires_after(std::chrono::steady_clock::duration duration);
  void close();
  void cancel();         // ends what is waited for, and will be; what needs no waiting still works
  void shutdown_send();  // tells the peer that nothing more comes

  Awaitable<Error> handshake();  // in TLS, before all else
  Awaitable<Error> farewell();   // in TLS: says so, and waits for the peer's

  // At least one byte; eof at the peer's end. `size` is 0 with an error.
  struct Read {
    Error error;
    std::size_t size = 0;
  };
  Awaitable<Read> read_some(std::span<char> into);
  Awaitable<Error> write(std::string_view bytes);
  // Reads something from the socket as it stands, and forgets it.
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
