#include "test_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace sluice::health {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);
const tcp::endpoint any_port(asio::ip::address_v4::loopback(), 0);

}  // namespace

struct TestServer::State {
  State(asio::io_context& context, Behaviour behaviour_)
      : acceptor(context, any_port), behaviour(std::move(behaviour_)) {}

  static asio::awaitable<void> serve(std::shared_ptr<State> state, Socket socket) {
    std::string request;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(request), "\r\n\r\n", as_tuple);
    state->last_request = request;
    co_await state->behaviour(socket, request);
    char byte = 0;
    boost::system::error_code ignored;
    socket.non_blocking(true, ignored);
    boost::system::error_code error;
    socket.read_some(asio::buffer(&byte, 1), error);
    if (error == asio::error::eof || error == asio::error::connection_reset)
      ++state->closed_by_peer;
  }

  static asio::awaitable<void> accept(std::shared_ptr<State> state) {
    for (;;) {
      auto [error, socket] = co_await state->acceptor.async_accept(as_tuple);
      if (error) co_return;
      ++state->connections;
      asio::co_spawn(state->acceptor.get_executor(), serve(state, std::move(socket)),
                     asio::detached);
    }
  }

  tcp::acceptor acceptor;
  Behaviour behaviour;
  int connections = 0;
  int closed_by_peer = 0;
  std::string last_request;
};

TestServer::TestServer(asio::io_context& context, Behaviour behaviour)
    : state_(std::make_shared<State>(context, std::move(behaviour))) {
  asio::co_spawn(context, State::accept(state_), asio::detached);
}

TestServer::~TestServer() {
  stop();
}

tcp::endpoint TestServer::endpoint() const {
  return state_->acceptor.local_endpoint();
}
int TestServer::connections() const {
  return state_->connections;
}
int TestServer::closed_by_peer() const {
  return state_->closed_by_peer;
}
const std::string& TestServer::last_request() const {
  return state_->last_request;
}

void TestServer::stop() {
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
}

TestServer::Behaviour answer(std::string text) {
  return [text](TestServer::Socket& socket, std::string) -> asio::awaitable<void> {
    const auto copy = text;  // the lambda's captures may be gone when the coroutine resumes
    co_await asio::async_write(socket, asio::buffer(copy), as_tuple);
  };
}

TestServer::Behaviour drip(std::string text) {
  return [text](TestServer::Socket& socket, std::string) -> asio::awaitable<void> {
    const auto copy = text;
    asio::steady_timer timer(socket.get_executor());
    for (const char byte : copy) {
      const auto [error, size] =
          co_await asio::async_write(socket, asio::buffer(&byte, 1), as_tuple);
      if (error) co_return;
      timer.expires_after(std::chrono::milliseconds(1));
      co_await timer.async_wait(asio::use_awaitable);
    }
  };
}

TestServer::Behaviour hang() {
  return [](TestServer::Socket& socket, std::string) -> asio::awaitable<void> {
    co_await socket.async_wait(tcp::socket::wait_read, as_tuple);
  };
}

tcp::endpoint refusing_endpoint(asio::io_context& context) {
  return tcp::acceptor(context, any_port).local_endpoint();  // closed at once
}

}  // namespace sluice::health
