// TcpSocket: a listening TCP socket on a numeric address.
#pragma once

#include "base/result.hpp"
#include "base/tcp_address.hpp"

namespace sluice::api {

class TcpSocket {
 public:
  static Result<TcpSocket> listen(const TcpAddress& where);

  const TcpAddress& address() const { return address_; }  // with the kernel's port
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
