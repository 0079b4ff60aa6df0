// TcpSocket: a listening TCP socket on a numeric address.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice::api {

// Where to listen. Port 0: the kernel picks one.
struct TcpAddress {
  IpAddress address;
  std::uint16_t port = 0;

  std::string to_string() const;  // "127.0.0.1:9876", "[::1]:9876"
};

// Reads what to_string() writes. Host names are not resolved: what is served where must not depend
// on a name server.
Result<TcpAddress> parse_tcp_address(std::string_view text);

class TcpSocket {
 public:
  static Result<TcpSocket> listen(const TcpAddress& where);

  const TcpAddress& address() const { return address_; }  // with the port that the kernel picked
  int release_descriptor();

  TcpSocket(TcpSocket&& other) noexcept;
  TcpSocket& operator=(TcpSocket&& other) noexcept;
  ~TcpSocket();

 private:
  TcpSocket() = default;

  int descriptor_ = -1;
  TcpAddress address_;
};

}  // namespace sluice::api
