#include "dataplane/listener_ranges.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "dataplane/codec.hpp"

namespace sluice::dataplane {
namespace {

std::span<sluice_port_range> used(sluice_ranges& all) {
  return {std::begin(all.ranges), std::min<std::size_t>(all.count, SLUICE_RANGES_ROOM)};
}

bool same_key(const sluice_ranges_key& a, const sluice_ranges_key& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// Removes the ranges for which this holds.
template <typename Predicate>
void take_out(sluice_ranges& all, Predicate is_taken) {
  const auto ranges = used(all);
  const auto rest = std::ranges::remove_if(ranges, is_taken);
  std::ranges::fill(rest, sluice_port_range{});
  all.count = static_cast<__u32>(ranges.size() - rest.size());
}

// Adds the range; false: there is no room.
bool put_in(sluice_ranges& all, sluice_port_range range) {
  if (all.count >= SLUICE_RANGES_ROOM) return false;
  all.ranges[all.count++] = range;
  std::ranges::sort(used(all), {}, &sluice_port_range::first);
  return true;
}

}  // namespace

std::optional<std::uint16_t> range_with(const sluice_ranges& ranges, std::uint16_t port) {
  const std::span all(ranges.ranges, std::min<std::size_t>(ranges.count, SLUICE_RANGES_ROOM));
  const auto after = std::ranges::upper_bound(all, port, {}, &sluice_port_range::first);
  if (after == all.begin()) return std::nullopt;
  const auto& found = *std::prev(after);
  return port <= found.last ? std::optional(found.first) : std::nullopt;
}

Result<void> ListenerRanges::set(const control::ListenerKey& key, std::uint32_t listener,
                                 std::uint16_t last_port) const {
  const auto map_key = ranges_key(key);
  const auto present = map_.lookup(map_key);
  if (!present) return tl::unexpected(present.error());
  auto all = present->value_or(sluice_ranges{});
  take_out(all, [&](const auto& range) { return range.first == key.port; });
  if (last_port != 0 && !put_in(all, {key.port, last_port, listener})) {
    return fail(ErrorKind::conflict,
                fmt::format("map listener_ranges is full: {} has {} ranges of ports",
                            key.address.to_string(), SLUICE_RANGES_ROOM));
  }
  return *present || all.count > 0 ? write(map_key, all) : Result<void>();
}

namespace {

std::uint16_t last_port_in(sluice_ranges all, std::uint16_t first, std::uint32_t listener) {
  for (const auto& range : used(all)) {
    if (range.first == first && range.listener == listener) return range.last;
  }
  return 0;
}

bool is_before(const sluice_ranges_key& a, const sluice_ranges_key& b) {
  return std::memcmp(&a, &b, sizeof a) < 0;
}

}  // namespace

Result<std::uint16_t> ListenerRanges::last_port(const control::ListenerKey& key,
                                                std::uint32_t listener) const {
  const auto present = map_.lookup(ranges_key(key));
  if (!present) return tl::unexpected(present.error());
  return *present ? last_port_in(**present, key.port, listener) : std::uint16_t{0};
}

Result<ListenerRanges::All> ListenerRanges::all() const {
  auto entries = map_.entries();
  if (!entries) return tl::unexpected(std::move(entries.error()));
  All all;
  all.entries_ = std::move(*entries);
  std::ranges::sort(all.entries_, is_before, [](const auto& entry) { return entry.first; });
  return all;
}

std::uint16_t ListenerRanges::All::last_port(const control::ListenerKey& key,
                                             std::uint32_t listener) const {
  const auto wanted = ranges_key(key);
  const auto found = std::ranges::lower_bound(entries_, wanted, is_before,
                                              [](const auto& entry) { return entry.first; });
  if (found == entries_.end() || !same_key(found->first, wanted)) return 0;
  return last_port_in(found->second, key.port, listener);
}

Result<void> ListenerRanges::remove_strangers(const Entries& listeners) const {
  const auto present = map_.entries();
  if (!present) return tl::unexpected(present.error());
  for (const auto& [key, before] : *present) {
    auto all = before;
    take_out(all, [&](const auto& range) {
      return std::ranges::none_of(listeners, [&](const auto& entry) {
        return entry.first.port == range.first && entry.second.index == range.listener &&
               same_key(ranges_key(entry.first), key);
      });
    });
    if (all.count == before.count) continue;
    if (auto written = write(key, all); !written) return written;
  }
  return {};
}

// A value without ranges is removed.
Result<void> ListenerRanges::write(const sluice_ranges_key& key, const sluice_ranges& all) const {
  if (all.count > 0) return map_.put(key, all);
  const auto erased = map_.erase(key);
  return erased ? Result<void>() : tl::unexpected(erased.error());
}

}  // namespace sluice::dataplane
