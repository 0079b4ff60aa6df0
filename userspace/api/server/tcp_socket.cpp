#include "api/server/tcp_socket.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <utility>

namespace sluice::api {
namespace {

using Endpoint = boost::asio::ip::tcp::endpoint;

}  // namespace

Result<TcpSocket> TcpSocket::listen(const TcpAddress& where) {
  const auto failed = [&](int error, std::string hint = {}) {
    return fail_errno(error, "listen on " + where.to_string(), std::move(hint));
  };
  Endpoint endpoint(where.address, where.port);
  TcpSocket out;
  out.descriptor_ =
      ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (out.descriptor_ < 0) return failed(errno);
  // Connections of the previous process linger on the port for a while and must be no obstacle.
  const int on = 1;
  ::setsockopt(out.descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(out.descriptor_, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    const int error = errno;
    return failed(error, error == EADDRINUSE ? "another program listens there: choose another port"
                         : error == EADDRNOTAVAIL ? "no interface has this address"
                         : error == EACCES        ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                                  : "");
  }
  if (::listen(out.descriptor_, SOMAXCONN) != 0) return failed(errno);
  auto size = static_cast<socklen_t>(endpoint.capacity());
  if (::getsockname(out.descriptor_, endpoint.data(), &size) != 0) return failed(errno);
  endpoint.resize(size);
  out.address_ = {endpoint.address(), endpoint.port()};
  return out;
}

int TcpSocket::release_descriptor() {
  return std::exchange(descriptor_, -1);
}

TcpSocket::TcpSocket(TcpSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), address_(other.address_) {}

TcpSocket& TcpSocket::operator=(TcpSocket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(address_, other.address_);
  return *this;
}

TcpSocket::~TcpSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace sluice::api
