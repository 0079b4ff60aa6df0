#include "health/raw_socket.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>

namespace sluice::health {
namespace {

// The buffer holds the answers of thousands of members, which may arrive in one turn of the loop.
constexpr int receive_buffer = 4 * 1024 * 1024;

// An IPv4 raw socket hands out the IP header too, an IPv6 one doesn't.
RawSocket::Bytes without_ip_header(const Endpoint& from, RawSocket::Bytes packet) {
  if (from.protocol() == boost::asio::ip::tcp::v6()) return packet;
  if (packet.size() < sizeof(iphdr)) return {};
  const auto header = static_cast<std::size_t>(packet[0] & 0x0f) * 4;
  return packet.size() < header ? RawSocket::Bytes{} : packet.subspan(header);
}

}  // namespace

int RawSocket::open(Poller& poller, int family, int protocol) {
  if (socket_) return 0;
  Socket socket(family, SOCK_RAW, protocol);
  if (!socket) return errno;
  socket.set(SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer);
  if (const int error = poller.add(socket.descriptor(), EPOLLIN, *this)) return error;
  socket_ = std::move(socket);
  return 0;
}

void RawSocket::ready(std::uint32_t) {
  std::array<std::uint8_t, 2048> buffer;
  for (;;) {
    Endpoint from;
    socklen_t size = static_cast<socklen_t>(from.capacity());
    const auto count =
        recvfrom(socket_.descriptor(), buffer.data(), buffer.size(), 0, from.data(), &size);
    if (count < 0) {
      if (errno == EAGAIN) return;
      continue;  // an error of an earlier packet, told once
    }
    const Bytes packet(buffer.data(), static_cast<std::size_t>(count));
    receive_(from.address(), without_ip_header(from, packet));
  }
}

}  // namespace sluice::health
