// TestServer: a server on an ephemeral port of 127.0.0.1 that treats every connection alike, as a
// test wants.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>

namespace sluice::health {

class TestServer {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using Behaviour = std::function<boost::asio::awaitable<void>(Socket&, std::string request)>;

  // Reads the request's header, then does `behaviour`, then closes.
  TestServer(boost::asio::io_context& context, Behaviour behaviour);
  ~TestServer();

  boost::asio::ip::tcp::endpoint endpoint() const;
  int connections() const;
  int closed_by_peer() const;               // as seen by hang()
  const std::string& last_request() const;  // its header
  // Makes the server refuse connections from now on.
  void stop();

  struct State;

 private:
  std::shared_ptr<State> state_;
};

TestServer::Behaviour answer(std::string text);
// Answers one byte every millisecond.
TestServer::Behaviour drip(std::string text);
// Answers nothing until the peer is gone.
TestServer::Behaviour hang();

// An endpoint that nobody listens on.
boost::asio::ip::tcp::endpoint refusing_endpoint(boost::asio::io_context& context);

}  // namespace sluice::health
