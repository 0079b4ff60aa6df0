// RawSocket: one socket for all exchanges of one IP protocol in one address family.
//
// A raw socket sees every packet of its protocol that comes to this host, so there is one for all
// members, and the receiver must tell its own answers from others'.
#pragma once

#include <functional>
#include <span>

#include "base/ip_address.hpp"
#include "health/poller.hpp"
#include "health/socket.hpp"

namespace sluice::health {

class RawSocket : private Poller::Handler {
 public:
  using Bytes = std::span<const std::uint8_t>;
  // `packet` begins after the IP header.
  using Receive = std::function<void(const IpAddress& from, Bytes packet)>;

  explicit RawSocket(Receive receive) : receive_(std::move(receive)) {}

  // Opens the socket, for which it needs CAP_NET_RAW; does nothing if it is open. Returns 0 or
  // errno.
  int open(Poller& poller, int family, int protocol);
  Socket& socket() { return socket_; }

 private:
  void ready(std::uint32_t events) override;

  Receive receive_;
  Socket socket_;
};

}  // namespace sluice::health
