#include "reference/proxy.hpp"

#include <algorithm>

namespace sluice::test::reference {

std::size_t proxy_header_bytes(int family) {
  return family == 4 ? 28 : 52;
}

Bytes proxy_header(const View& v) {
  const bool v4 = v.family == 4;
  return Bytes{0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 'Q', 'U', 'I', 'T', 0x0a, 0x21} +
         Bytes{static_cast<std::uint8_t>(v4 ? 0x11 : 0x21)} + be16(v4 ? 12 : 36) + v.source +
         v.destination + be16(v.source_port) + be16(v.destination_port);
}

// The checksum covers 16-bit words from the segment's first byte on, so whole words are compared.
void Segment::change(std::size_t at, const Bytes& with) {
  const auto first = at / 2 * 2, end = (at + with.size() + 1) / 2 * 2;
  const auto before = piece(frame_, l4_ + first, end - first);
  replace(frame_, l4_ + at, with);
  write16(frame_, l4_ + 16,
          adjusted(read16(frame_, l4_ + 16), before, piece(frame_, l4_ + first, end - first)));
}

void Segment::shrink_window(std::uint32_t less) {
  change(14, be16(window() > less ? window() - less : 0));
}

void Segment::each_option(const std::function<void(std::size_t, std::size_t)>& visit) const {
  for (std::size_t at = 20, end = header_bytes(); at < end;) {
    const auto kind = frame_[l4_ + at];
    if (kind == 0) return;
    if (kind == 1) {
      ++at;
      continue;
    }
    if (at + 2 > end) return;
    const std::size_t bytes = frame_[l4_ + at + 1];
    if (bytes < 2 || at + bytes > end) return;
    visit(at, bytes);
    at += bytes;
  }
}

bool Segment::has_option(std::uint8_t kind) const {
  bool has = false;
  each_option([&](std::size_t at, std::size_t) { has = has || frame_[l4_ + at] == kind; });
  return has;
}

void Segment::change_options(std::uint8_t kind, const std::function<Bytes(const Bytes&)>& make) {
  std::vector<std::pair<std::size_t, Bytes>> changes;
  each_option([&](std::size_t at, std::size_t bytes) {
    if (frame_[l4_ + at] != kind) return;
    const auto before = piece(frame_, l4_ + at, bytes), after = make(before);
    if (after != before) changes.emplace_back(at, after);
  });
  for (const auto& [at, after] : changes) change(at, after);
}

void Segment::insert(const Bytes& bytes, std::size_t l4_bytes) {
  write16(frame_, l4_ + 16,
          adjusted(read16(frame_, l4_ + 16), be16(static_cast<std::uint32_t>(l4_bytes)),
                   be16(static_cast<std::uint32_t>(l4_bytes + bytes.size())) + bytes));
  const auto at = static_cast<std::ptrdiff_t>(l4_ + header_bytes());
  frame_.insert(frame_.begin() + at, bytes.begin(), bytes.end());
  if (flags() & 0x20)
    change(18, be16(read16(frame_, l4_ + 18) + static_cast<std::uint32_t>(bytes.size())));
  const auto length_at = l3_ + (family_ == 4 ? 2 : 4);
  const auto before = piece(frame_, length_at, 2);
  write16(frame_, length_at, read16(frame_, length_at) + static_cast<std::uint32_t>(bytes.size()));
  if (family_ == 4)
    write16(frame_, l3_ + 10,
            adjusted(read16(frame_, l3_ + 10), before, piece(frame_, length_at, 2)));
}

}  // namespace sluice::test::reference
