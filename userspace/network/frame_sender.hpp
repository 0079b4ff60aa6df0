// FrameSender: sends Ethernet frames of our own on one interface (ARP, neighbour discovery).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.hpp"
#include "network/mac_address.hpp"

namespace sluice::network {

class FrameSender {
 public:
  // Opens a sender; nullopt if the interface is not Ethernet, so that nobody could get a frame.
  static Result<std::optional<FrameSender>> open(std::uint32_t interface_index);

  FrameSender(FrameSender&& other) noexcept : fd_(other.fd_), mac_(other.mac_) { other.fd_ = -1; }
  FrameSender& operator=(FrameSender&&) = delete;
  ~FrameSender();

  const MacAddress& mac() const { return mac_; }  // the interface's own
  Result<void> send(std::span<const std::uint8_t> frame) const;

 private:
  FrameSender(int fd, const MacAddress& mac) : fd_(fd), mac_(mac) {}

  int fd_ = -1;
  MacAddress mac_{};
};

}  // namespace sluice::network
