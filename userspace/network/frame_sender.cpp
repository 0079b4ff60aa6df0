#include "network/frame_sender.hpp"

#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace sluice::network {

Result<std::optional<FrameSender>> FrameSender::open(std::uint32_t interface_index) {
  const auto what = "open interface " + std::to_string(interface_index) + " for frames";
  // Protocol 0: receives nothing.
  const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail_errno(errno, what, "needs CAP_NET_RAW");
  FrameSender sender(fd, {});

  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(interface_index);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (bind(fd, generic, size) < 0) return fail_errno(errno, what);
  // Once the socket is bound, its own address is the interface's MAC.
  if (getsockname(fd, generic, &size) < 0) return fail_errno(errno, what);
  if (address.sll_hatype != ARPHRD_ETHER || address.sll_halen != sender.mac_.size())
    return std::optional<FrameSender>();
  std::copy_n(address.sll_addr, sender.mac_.size(), sender.mac_.begin());
  return std::optional<FrameSender>(std::move(sender));
}

FrameSender::~FrameSender() {
  if (fd_ >= 0) close(fd_);
}

Result<void> FrameSender::send(std::span<const std::uint8_t> frame) const {
  if (::send(fd_, frame.data(), frame.size(), 0) < 0) return fail_errno(errno, "send a frame");
  return {};
}

}  // namespace sluice::network
