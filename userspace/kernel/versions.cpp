#include "kernel/versions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "kernel/map.hpp"
#include "maps/versions.h"

namespace sluice::kernel {
namespace {

#define SLUICE_MAP_VERSION(name, version, oldest) \
  std::pair{std::string_view(#name), MapVersions{SLUICE_MAP_##name, version, oldest}},
constexpr std::array all = {SLUICE_MAPS(SLUICE_MAP_VERSION)};
#undef SLUICE_MAP_VERSION

#define SLUICE_EARLIER_CAPACITY(name, capacity) \
  std::pair{std::string_view(#name), std::uint32_t{capacity}},
constexpr std::array earlier_capacities = {SLUICE_EARLIER_CAPACITIES(SLUICE_EARLIER_CAPACITY)};
#undef SLUICE_EARLIER_CAPACITY

std::string range(const MapVersions& versions) {
  const auto oldest = std::max<std::uint32_t>(versions.oldest, SLUICE_FIRST_MAP_VERSION);
  if (oldest == versions.version) return std::to_string(oldest);
  return fmt::format("{} to {}", oldest, versions.version);
}

}  // namespace

const MapVersions* versions_of(std::string_view map) {
  const auto* found =
      std::find_if(all.begin(), all.end(), [map](const auto& one) { return one.first == map; });
  return found == all.end() ? nullptr : &found->second;
}

bool had_capacity(std::string_view map, std::uint32_t capacity) {
  return std::ranges::find(earlier_capacities, std::pair{map, capacity}) !=
         earlier_capacities.end();
}

Result<void> PinnedVersions::require_readable(std::string_view map) const {
  const auto* ours = versions_of(map);
  if (ours == nullptr)
    return fail(ErrorKind::internal, fmt::format("maps/versions.h does not name {}", map));
  std::uint32_t pinned = SLUICE_FIRST_MAP_VERSION;
  if (fd_ >= 0) {
    const auto noted = ArrayMap<std::uint32_t>(fd_, "map_versions").lookup(ours->index);
    if (!noted) return tl::unexpected(noted.error());
    pinned = std::max(pinned, noted->value_or(0));
  }
  if (pinned >= ours->oldest && pinned <= ours->version) return {};
  return fail(
      ErrorKind::conflict,
      fmt::format("the pinned map {} is of version {}, this build reads {}", map, pinned,
                  range(*ours)),
      pinned > ours->version
          ? "a newer Sluice loaded it: use its programs, or start afresh with: sluice-loader "
            "detach --all"
      : map == "flows4" || map == "flows6"
          ? "carry the connections to this build's layout with: sluice-loader upgrade"
          : "upgrade by way of a build that reads both, or start afresh with: sluice-loader "
            "detach --all");
}

Result<void> PinnedVersions::note(std::string_view map) const {
  const auto* ours = versions_of(map);
  if (ours == nullptr || fd_ < 0) return {};
  return ArrayMap<std::uint32_t>(fd_, "map_versions").put(ours->index, ours->version);
}

Result<void> note_versions(const Program& program) {
  const PinnedVersions versions(program.map_fd("map_versions"));
  for (const auto& [name, fd] : program.maps()) {
    if (auto noted = versions.note(name); !noted) return noted;
  }
  return {};
}

}  // namespace sluice::kernel
