// Socket: a non-blocking socket that closes itself, and an address as the kernel takes it.
#pragma once

#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <span>
#include <utility>

namespace sluice::health {

// An address and a port (0 on a raw socket). Only its bytes matter, so it serves UDP and raw
// sockets too.
using Endpoint = boost::asio::ip::tcp::endpoint;

class Socket {
 public:
  Socket() = default;
  // Opens the socket. `if (socket)` tells whether that worked, errno why not.
  Socket(int family, int type, int protocol);
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  explicit operator bool() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  void close();

  // Each returns 0 or errno.
  int bind_any(int family);                       // to a port that no other socket has
  int connect(const Endpoint& to);                // 0 also while it is under way
  int send(std::span<const std::uint8_t> bytes);  // all of them
  int send_to(const Endpoint& to, std::span<const std::uint8_t> bytes);
  int take_error();  // what went wrong since last asked

  template <typename Value>
  int set(int level, int option, const Value& value) {
    return setsockopt(descriptor_, level, option, &value, sizeof value) == 0 ? 0 : errno;
  }

 private:
  int descriptor_ = -1;
};

}  // namespace sluice::health
