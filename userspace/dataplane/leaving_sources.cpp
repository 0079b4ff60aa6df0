#include "dataplane/leaving_sources.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "dataplane/codec.hpp"
#include "dataplane/flow_slot.hpp"
#include "kernel/map.hpp"
#include "maps/flow.h"
#include "maps/vip.h"

namespace sluice::dataplane {
namespace {

template <typename Address>
using Counts = std::vector<std::pair<Address, std::uint64_t>>;

template <typename Address>
Result<Counts<Address>> leaving(const kernel::Program& program, const char* map) {
  const auto vips = kernel::Map<Address, sluice_vip>(program, map).entries();
  if (!vips) return tl::unexpected(vips.error());
  Counts<Address> found;
  for (const auto& [address, vip] : *vips)
    if (vip.flags & SLUICE_VIP_LEAVING) found.emplace_back(address, 0);
  return found;
}

template <typename Address>
bool is_same(const Address& a, const Address& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// A member's packets come to the source that it sees.
template <typename Bucket, typename Address>
Result<void> count_flows(const kernel::Program& program, const char* map, Counts<Address>& counts) {
  if (counts.empty()) return {};
  const auto buckets = kernel::MappedArray<Bucket>::open(program, map);
  if (!buckets) return tl::unexpected(buckets.error());
  for (const auto& bucket : *buckets) {
    for (const auto& place : bucket.slots) {
      const auto state = __atomic_load_n(&place.state, __ATOMIC_ACQUIRE);
      if (!SLUICE_STATE_GET(state, PROTOCOL) || !(state & SLUICE_FLOW_TO_CLIENT)) continue;
      const auto slot = read_slot(place);
      if (!slot || !(slot->state & SLUICE_FLOW_TO_CLIENT)) continue;
      for (auto& [address, count] : counts) count += is_same(slot->destination, address);
    }
  }
  return {};
}

Result<bool> flows_are_moved(const kernel::Program& program) {
  for (const std::uint32_t which : {0U, 1U}) {
    const auto area = kernel::ArrayMap<std::uint64_t>(program, "flow_areas").lookup(which);
    if (!area) return tl::unexpected(area.error());
    if (*area && (**area & (SLUICE_AREA_HELD | SLUICE_AREA_MOVING) ||
                  SLUICE_AREA_SHIFT(**area) != SLUICE_AREA_OLD_SHIFT(**area)))
      return true;
  }
  return false;
}

}  // namespace

Result<std::optional<std::map<IpAddress, std::uint64_t>>> connections_of_leaving(
    const kernel::Program& program) {
  std::map<IpAddress, std::uint64_t> all;
  auto ipv4 = leaving<__be32>(program, "vips4");
  if (!ipv4) return tl::unexpected(std::move(ipv4.error()));
  auto ipv6 = leaving<sluice_address>(program, "vips6");
  if (!ipv6) return tl::unexpected(std::move(ipv6.error()));
  if (ipv4->empty() && ipv6->empty()) return all;
  const auto moved = flows_are_moved(program);
  if (!moved) return tl::unexpected(moved.error());
  if (*moved) return std::nullopt;
  if (auto done = count_flows<sluice_bucket4>(program, "flows4", *ipv4); !done)
    return tl::unexpected(std::move(done.error()));
  if (auto done = count_flows<sluice_bucket6>(program, "flows6", *ipv6); !done)
    return tl::unexpected(std::move(done.error()));
  // Members that have IPv6 clients see it, too: in IPv6 flows, mapped.
  Counts<sluice_address> mapped;
  for (const auto& [address, count] : *ipv4)
    mapped.emplace_back(to_map(control::mapped(ipv4_from_be32(address))), 0);
  if (auto done = count_flows<sluice_bucket6>(program, "flows6", mapped); !done)
    return tl::unexpected(std::move(done.error()));
  for (std::size_t i = 0; i < ipv4->size(); ++i)
    all.emplace(ipv4_from_be32((*ipv4)[i].first), (*ipv4)[i].second + mapped[i].second);
  for (const auto& [address, count] : *ipv6) all.emplace(from_map(address, true), count);
  return all;
}

}  // namespace sluice::dataplane
