// HttpListener: HTTP/1.1 on one listening socket, plain or in TLS, with limits that keep clients
// from hurting one another. A header has at most 16 KiB, a body 1 MiB; a request has 30 s to arrive
// and its answer 30 s to be taken. 64 connections are served at a time, fewer if descriptors are
// scarce. Newcomers, connections without an admitted request so far, have half of the places. When
// these are taken, the oldest newcomer makes room for the next, so clients that open connections
// without credentials only displace each other. When all places are taken, the connection that has
// kept us waiting longest makes room, if that was at least a second. Connections that read a feed
// take none of these places.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/language/message.hpp"
#include "api/server/access.hpp"

namespace boost::asio::ssl {
class context;
}

namespace sluice::api {

// The other end of a connection.
struct Peer {
  std::string address;  // over TCP: "192.0.2.7:50514"
  pid_t pid = -1;       // over a unix socket, as the kernel knows it
  uid_t uid = static_cast<uid_t>(-1);
};

// The sender's identity; an error is the answer that ends the connection.
using Admission = tl::expected<Identity, Response>;

struct HttpListenerOptions {
  int descriptor = -1;  // a listening socket; the listener closes it
  std::shared_ptr<boost::asio::ssl::context> tls = {};  // null: plain
  // Judges a request's head before its body is read. Unset: everybody is admitted.
  std::function<Admission(const Credentials&, const Peer&)> admit = {};
  // Gives `done` the answer, within the call or later, on the context's thread. The connection
  // reads no further request until then. `done` has no effect once the listener is gone.
  using Done = std::function<void(Response)>;
  std::function<void(const Request&, const Peer&, Done done)> respond = {};
  std::size_t places = 64;  // connections at a time; 1 or more
  // The time that a client may take to send a request, and to take its answer. The time that we
  // need for the answer has no limit, because a change may wait for a disk.
  std::chrono::milliseconds patience = std::chrono::seconds(30);
};

class HttpListener {
 public:
  HttpListener(boost::asio::io_context& context, HttpListenerOptions options);
  HttpListener(HttpListener&&) noexcept;
  HttpListener& operator=(HttpListener&&) = delete;
  ~HttpListener();  // stops listening and ends the connections

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::api
