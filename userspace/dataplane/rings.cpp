#include "dataplane/rings.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/fd.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"
#include "maps/pool.h"

namespace sluice::dataplane {
namespace {

// The inner map: the length, then the slots.
Result<UniqueFd> build(const Ring& ring) {
  const auto slots = static_cast<std::uint32_t>(ring.size());
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
  UniqueFd fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "sluice_ring", sizeof(std::uint32_t),
                             sizeof(std::uint32_t), SLUICE_RING_FIRST + slots, &options));
  if (!fd) return kernel::fail_bpf(errno, fmt::format("create a ring of {} slots", slots));

  std::vector<std::uint32_t> keys(SLUICE_RING_FIRST + slots), values(keys.size());
  for (std::uint32_t i = 0; i < keys.size(); ++i) keys[i] = i;
  values[SLUICE_RING_LENGTH] = slots;
  std::copy(ring.begin(), ring.end(), values.begin() + SLUICE_RING_FIRST);
  auto count = static_cast<std::uint32_t>(keys.size());
  if (bpf_map_update_batch(fd.get(), keys.data(), values.data(), &count, nullptr) != 0) {
    return kernel::fail_bpf(errno, fmt::format("fill a ring of {} slots", slots));
  }
  return fd;
}

Result<Ring> contents(const UniqueFd& fd) {
  const auto elements = kernel::ArrayMap<std::uint32_t>(fd.get(), "sluice_ring").entries();
  if (!elements) return tl::unexpected(elements.error());
  Ring ring;
  const auto length = elements->empty() ? 0 : elements->front().second;
  for (std::size_t i = SLUICE_RING_FIRST; i < elements->size() && ring.size() < length; ++i) {
    ring.push_back((*elements)[i].second);
  }
  return ring;
}

}  // namespace

Result<Ring> Rings::get(std::uint32_t pool) {
  const auto id = pool_rings_.lookup(pool);
  if (!id) return tl::unexpected(id.error());
  return ring_of(pool, id->value_or(0));
}

// The kernel leaves out pools without a ring.
Result<Rings::MapIds> Rings::map_ids(std::uint32_t end) const {
  const auto entries = pool_rings_.entries(end);
  if (!entries) return tl::unexpected(entries.error());
  return MapIds(entries->begin(), entries->end());
}

Result<Ring> Rings::get(std::uint32_t pool, const MapIds& ids) {
  const auto id = ids.find(pool);
  return ring_of(pool, id == ids.end() ? 0 : id->second);
}

Result<Ring> Rings::ring_of(std::uint32_t pool, std::uint32_t map_id) {
  if (map_id == 0 || given_up_.contains(pool)) return Ring{};

  // A ring is never changed, only swapped for another one.
  const auto known = known_.find(pool);
  if (known != known_.end() && known->second.map_id == map_id) return known->second.ring;
  const UniqueFd fd(bpf_map_get_fd_by_id(map_id));
  if (fd) {
    auto ring = contents(fd);
    if (ring) known_[pool] = {map_id, *ring};
    return ring;
  }
  if (errno == ENOENT) return Ring{};  // swapped or erased since the lookup
  if (errno != EPERM) return kernel::fail_bpf(errno, fmt::format("open the ring of pool {}", pool));
  return Ring{};
}

Result<void> Rings::put(std::uint32_t pool, const Ring& ring) {
  if (ring.size() > SLUICE_MAX_RING_SLOTS) {
    return fail(ErrorKind::invalid, fmt::format("a ring of {} slots is longer than {}", ring.size(),
                                                SLUICE_MAX_RING_SLOTS));
  }
  if (holds(pool, ring)) return {};
  if (!ring.empty()) {  // get() can't tell an empty ring from a missing one
    const auto present = get(pool);
    if (!present) return tl::unexpected(present.error());
    if (*present == ring) return {};
  }
  const auto fd = build(ring);
  if (!fd) return tl::unexpected(fd.error());
  const auto info = kernel::map_info(fd->get());
  if (!info) return tl::unexpected(info.error());
  if (auto swapped = pool_rings_.put(pool, static_cast<std::uint32_t>(fd->get())); !swapped) {
    return swapped;
  }
  given_up_.erase(pool);
  known_[pool] = {info->id, ring};
  return {};
}

bool Rings::holds(std::uint32_t pool, const Ring& ring) const {
  const auto known = known_.find(pool);
  if (known == known_.end() || known->second.ring != ring) return false;
  const auto id = pool_rings_.lookup(pool);
  return id && *id && **id == known->second.map_id;
}

Result<void> Rings::put_first(std::span<const Numbered> rings) {
  constexpr std::size_t most_descriptors = 256;
  while (!rings.empty()) {
    const auto some = rings.first(std::min(rings.size(), most_descriptors));
    if (auto put = put_some_first(some); !put) return put;
    rings = rings.subspan(some.size());
  }
  return {};
}

Result<void> Rings::put_some_first(std::span<const Numbered> rings) {
  std::vector<UniqueFd> built;
  std::vector<std::uint32_t> pools, descriptors, ids;
  for (const auto& [pool, ring] : rings) {
    auto fd = build(ring);
    if (!fd) return tl::unexpected(fd.error());
    const auto info = kernel::map_info(fd->get());
    if (!info) return tl::unexpected(info.error());
    pools.push_back(pool);
    descriptors.push_back(static_cast<std::uint32_t>(fd->get()));
    ids.push_back(info->id);
    built.push_back(std::move(*fd));
  }
  auto count = static_cast<std::uint32_t>(pools.size());
  if (bpf_map_update_batch(pool_rings_.fd(), pools.data(), descriptors.data(), &count, nullptr) !=
      0) {
    return kernel::fail_bpf(errno, "write the first rings of pools");
  }
  for (std::size_t i = 0; i < rings.size(); ++i) {
    known_[pools[i]] = {ids[i], rings[i].second};
    given_up_.erase(pools[i]);
  }
  return {};
}

Result<void> Rings::erase(std::uint32_t pool) {
  constexpr std::size_t most_pools = 256, most_slots = SLUICE_MAX_RING_SLOTS;
  const auto known = known_.find(pool);
  if (known != known_.end()) {
    given_up_slots_ += known->second.ring.size();
    known_.erase(known);
  }
  given_up_.insert(pool);
  if (given_up_.size() < most_pools && given_up_slots_ < most_slots) return {};
  return erase_given_up();
}

Result<void> Rings::erase_given_up() {
  const auto empty = build({});
  if (!empty) return tl::unexpected(empty.error());
  std::vector<std::uint32_t> pools(given_up_.begin(), given_up_.end());
  std::vector<std::uint32_t> descriptors(pools.size(), static_cast<std::uint32_t>(empty->get()));
  auto count = static_cast<std::uint32_t>(pools.size());
  if (bpf_map_update_batch(pool_rings_.fd(), pools.data(), descriptors.data(), &count, nullptr) !=
      0) {
    return kernel::fail_bpf(errno, "take the rings of removed pools away");
  }
  given_up_.clear();
  given_up_slots_ = 0;
  return {};
}

}  // namespace sluice::dataplane
