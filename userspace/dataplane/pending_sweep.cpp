#include "dataplane/pending_sweep.hpp"

#include <bpf/bpf.h>

#include <array>
#include <cerrno>

#include "kernel/libbpf_log.hpp"

namespace sluice::dataplane {

Result<bool> PendingSweep::proceed() {
  constexpr std::uint32_t at_once = 256;
  std::array<sluice_proxy_key, at_once> clients;
  std::array<sluice_proxy_pending, at_once> entries;
  const auto count = map_.read_round(cursor_, clients.data(), entries.data(), at_once);
  if (!count) return tl::unexpected(count.error());
  for (std::uint32_t i = 0; i < *count; ++i) {
    if (!is_unused(entries[i])) continue;
    if (auto forgotten = forget(clients[i]); !forgotten) return tl::unexpected(forgotten.error());
  }
  return !cursor_.done;
}

// Jiffies overflow; what was used after `now` is no older.
bool PendingSweep::is_unused(const sluice_proxy_pending& entry) const {
  const auto age = static_cast<std::int32_t>(now_ - entry.jiffies);
  return age > static_cast<std::int32_t>(SLUICE_PROXY_PENDING_SECONDS * hz_);
}

// Puts it back if a packet has just come. Packets in between are dropped, as those of any
// connection without an entry.
Result<void> PendingSweep::forget(const sluice_proxy_key& client) const {
  sluice_proxy_pending entry{};
  if (bpf_map_lookup_and_delete_elem(map_.fd(), &client, &entry) != 0)
    return errno == ENOENT ? Result<void>()
                           : kernel::fail_bpf(errno, "delete from map proxy_pending");
  if (!is_unused(entry)) bpf_map_update_elem(map_.fd(), &client, &entry, BPF_NOEXIST);
  return {};
}

}  // namespace sluice::dataplane
