// Proxy: what the contract says about the segments of a handshake with a PROXYV2 pool's member
// (bpf/README.md), as changes of a frame. Who sends what when is the model's.
#pragma once

#include <functional>
#include <optional>

#include "reference/view.hpp"

namespace sluice::test::reference {

// The header that names the client whose packet this is.
Bytes proxy_header(const View& from_client);
std::size_t proxy_header_bytes(int family);

// A TCP segment of a frame. Its changes are written back, with a checksum that is as right or wrong
// as before.
class Segment {
 public:
  Segment(Bytes& frame, const View& view)
      : frame_(frame), l3_(view.l3), family_(view.family), l4_(view.l4) {}

  std::uint8_t flags() const { return frame_[l4_ + 13]; }
  std::size_t header_bytes() const { return std::size_t{frame_[l4_ + 12]} / 16 * 4; }
  std::uint32_t sequence() const { return number(4); }
  std::uint32_t acknowledgement() const { return number(8); }
  std::uint16_t window() const { return read16(frame_, l4_ + 14); }

  void set_sequence(std::uint32_t value) { change(4, be32(value)); }
  void set_acknowledgement(std::uint32_t value) { change(8, be32(value)); }
  // Makes the window smaller, at least 0.
  void shrink_window(std::uint32_t less);
  // Replaces every option of this kind by what `make` returns, which has as many bytes.
  void change_options(std::uint8_t kind, const std::function<Bytes(const Bytes& option)>& make);
  bool has_option(std::uint8_t kind) const;
  // Puts the bytes (an even number) in front of the payload, as so much more of the packet.
  void insert(const Bytes& bytes, std::size_t l4_bytes);

 private:
  std::uint32_t number(std::size_t at) const {
    return std::uint32_t{read16(frame_, l4_ + at)} << 16 | read16(frame_, l4_ + at + 2);
  }
  void change(std::size_t at, const Bytes& with);
  void each_option(const std::function<void(std::size_t at, std::size_t bytes)>& visit) const;

  Bytes& frame_;
  std::size_t l3_;
  int family_;
  std::size_t l4_;
};

}  // namespace sluice::test::reference
