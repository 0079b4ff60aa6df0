#include "tls_server.hpp"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/impl/src.hpp>  // compiled here, once
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace sluice::health {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);

void use_self_signed_certificate(SSL_CTX* context) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  SSL_CTX_use_certificate(context, certificate.get());
  SSL_CTX_use_PrivateKey(context, key.get());
}

}  // namespace

struct TlsServer::State {
  State(asio::io_context& context, std::string answer_, std::uint16_t port)
      : acceptor(context, {asio::ip::address_v4::loopback(), port}), answer(std::move(answer_)) {
    use_self_signed_certificate(tls.native_handle());
    SSL_CTX_set_tlsext_servername_arg(tls.native_handle(), this);
    SSL_CTX_set_tlsext_servername_callback(
        tls.native_handle(), +[](SSL* session, int*, void* self) {
          const auto* name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
          static_cast<State*>(self)->server_name = name == nullptr ? "" : name;
          return SSL_TLSEXT_ERR_OK;
        });
  }

  static asio::awaitable<void> serve(std::shared_ptr<State> state, tcp::socket socket) {
    asio::ssl::stream<tcp::socket> stream(std::move(socket), state->tls);
    const auto [failure] =
        co_await stream.async_handshake(asio::ssl::stream_base::server, as_tuple);
    if (failure) co_return;
    state->resumed = SSL_session_reused(stream.native_handle()) == 1;
    std::string request;
    co_await asio::async_read_until(stream, asio::dynamic_buffer(request), "\r\n\r\n", as_tuple);
    state->request = request;
    co_await asio::async_write(stream, asio::buffer(state->answer), as_tuple);
  }

  static asio::awaitable<void> accept(std::shared_ptr<State> state) {
    for (;;) {
      auto [error, socket] = co_await state->acceptor.async_accept(as_tuple);
      if (error) co_return;
      asio::co_spawn(state->acceptor.get_executor(), serve(state, std::move(socket)),
                     asio::detached);
    }
  }

  asio::ssl::context tls{asio::ssl::context::tls_server};
  tcp::acceptor acceptor;
  std::string answer, request, server_name;
  bool resumed = false;
};

TlsServer::TlsServer(asio::io_context& context, std::string answer, std::uint16_t port)
    : state_(std::make_shared<State>(context, std::move(answer), port)) {
  asio::co_spawn(context, State::accept(state_), asio::detached);
}

TlsServer::~TlsServer() {
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
}

std::uint16_t TlsServer::port() const {
  return state_->acceptor.local_endpoint().port();
}
const std::string& TlsServer::last_request() const {
  return state_->request;
}
const std::string& TlsServer::last_server_name() const {
  return state_->server_name;
}
bool TlsServer::resumed() const {
  return state_->resumed;
}

struct PlainServer::State {
  State(asio::io_context& context, std::string answer_, Speaks speaks_, const char* address)
      : acceptor(context, {asio::ip::make_address(address), 0}),
        answer(std::move(answer_)),
        speaks(speaks_) {}

  static asio::awaitable<void> serve(std::shared_ptr<State> state, tcp::socket socket) {
    std::string request(4096, '\0');
    if (state->speaks == Speaks::first)
      co_await asio::async_write(socket, asio::buffer(state->answer), as_tuple);
    co_await socket.async_read_some(asio::buffer(request), as_tuple);
    if (state->speaks == Speaks::second)
      co_await asio::async_write(socket, asio::buffer(state->answer), as_tuple);
  }

  static asio::awaitable<void> accept(std::shared_ptr<State> state) {
    for (;;) {
      auto [error, socket] = co_await state->acceptor.async_accept(as_tuple);
      if (error) co_return;
      asio::co_spawn(state->acceptor.get_executor(), serve(state, std::move(socket)),
                     asio::detached);
    }
  }

  tcp::acceptor acceptor;
  std::string answer;
  Speaks speaks;
};

PlainServer::PlainServer(asio::io_context& context, std::string answer, Speaks speaks,
                         const char* address)
    : state_(std::make_shared<State>(context, std::move(answer), speaks, address)) {
  asio::co_spawn(context, State::accept(state_), asio::detached);
}

PlainServer::~PlainServer() {
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
}

std::uint16_t PlainServer::port() const {
  return state_->acceptor.local_endpoint().port();
}

}  // namespace sluice::health
