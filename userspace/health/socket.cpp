#include "health/socket.hpp"

#include <unistd.h>

#include <cerrno>

namespace sluice::health {
namespace {

int outcome(ssize_t sent, std::size_t wanted) {
  if (sent < 0) return errno;
  return static_cast<std::size_t>(sent) == wanted ? 0 : ENOBUFS;
}

}  // namespace

Socket::Socket(int family, int type, int protocol)
    : descriptor_(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)) {}

void Socket::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

int Socket::bind_any(int family) {
  const Endpoint any(family == AF_INET6 ? boost::asio::ip::tcp::v6() : boost::asio::ip::tcp::v4(),
                     0);
  if (::bind(descriptor_, any.data(), static_cast<socklen_t>(any.size())) == 0) return 0;
  return errno == EADDRINUSE ? EADDRNOTAVAIL : errno;  // as connect() says it
}

int Socket::connect(const Endpoint& to) {
  if (::connect(descriptor_, to.data(), static_cast<socklen_t>(to.size())) == 0) return 0;
  return errno == EINPROGRESS ? 0 : errno;
}

int Socket::send(std::span<const std::uint8_t> bytes) {
  return outcome(::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
}

int Socket::send_to(const Endpoint& to, std::span<const std::uint8_t> bytes) {
  return outcome(sendto(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL, to.data(),
                        static_cast<socklen_t>(to.size())),
                 bytes.size());
}

int Socket::take_error() {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

}  // namespace sluice::health
