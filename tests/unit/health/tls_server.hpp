// TlsServer and PlainServer: give every connection the same answer.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

namespace sluice::health {

// On 127.0.0.1, with a certificate that nobody signed.
class TlsServer {
 public:
  // Port 0: any.
  TlsServer(boost::asio::io_context& context, std::string answer, std::uint16_t port = 0);
  ~TlsServer();

  std::uint16_t port() const;
  const std::string& last_request() const;
  const std::string& last_server_name() const;  // SNI
  bool resumed() const;                         // the last handshake resumed a session

  struct State;

 private:
  std::shared_ptr<State> state_;
};

// Answers any bytes with these, or sends these first; then closes.
class PlainServer {
 public:
  enum class Speaks { first, second };

  PlainServer(boost::asio::io_context& context, std::string answer, Speaks speaks = Speaks::second,
              const char* address = "127.0.0.1");
  ~PlainServer();

  std::uint16_t port() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sluice::health
