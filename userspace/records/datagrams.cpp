#include "records/datagrams.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/ip/udp.hpp>
#include <cerrno>

namespace sluice::records {

Result<UniqueFd> udp_socket_to(const TcpAddress& server, std::string_view what) {
  const boost::asio::ip::udp::endpoint endpoint(server.address, server.port);
  UniqueFd socket(
      ::socket(endpoint.data()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket ||
      (::connect(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 &&
       errno != ENETUNREACH && errno != EHOSTUNREACH))
    return fail_errno(errno, fmt::format("open a socket to {} {}", what, server.to_string()));
  return socket;
}

bool send_datagram(int socket, std::span<const iovec> parts) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  if (::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) return true;
  // That nobody is there is told by an earlier datagram's error, which must not cost this one.
  return errno == ECONNREFUSED && ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}

}  // namespace sluice::records
