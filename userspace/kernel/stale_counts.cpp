#include "kernel/stale_counts.hpp"

#include <algorithm>

#include "kernel/kernel_info.hpp"
#include "kernel/map.hpp"

namespace sluice::kernel {
namespace {

// The data plane alone writes them, and each came after the first version.
constexpr const char* counts[] = {"listener_half_open", "member_half_open", "listener_confirmed",
                                  "member_confirmed", "member_silences"};

Result<void> set_to_zero(const Program& program, const char* name) {
  const Map<std::uint32_t, std::uint32_t> map(program, name);
  const auto entries = map.entries();
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& [index, count] : *entries) {
    if (count == 0) continue;
    if (auto written = map.put(index, 0); !written) return written;
  }
  return {};
}

}  // namespace

Result<void> forget_stale_counts(const Program& running) {
  const auto used = maps_of_program(running.xdp_fd());
  if (!used) return tl::unexpected(used.error());
  for (const char* name : counts) {
    const auto info = map_info(running.map_fd(name));
    if (!info) return tl::unexpected(info.error());
    if (std::find(used->begin(), used->end(), info->id) != used->end()) continue;
    if (auto zeroed = set_to_zero(running, name); !zeroed) return zeroed;
  }
  return {};
}

}  // namespace sluice::kernel
