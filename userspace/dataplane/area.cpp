#include "dataplane/area.hpp"

#include <chrono>

#include "kernel/map.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"

namespace sluice::dataplane {
namespace {

// Shares of the slots in use. At a quarter a hit costs 1.1 lines (IPv4, two slots a bucket) or 1.3
// (IPv6, one slot), at a third 1.2 or 1.6.
constexpr double fitting_share = 0.25;
double crowded_share(const TableLoad& load) {
  return load.bucket_slots > 1 ? 0.33 : 0.28;
}
// Of an area half as large; sweeps come every five seconds.
constexpr int sweeps_until_it_shrinks = 12;
// With so few it costs nothing to shrink at once.
constexpr std::uint64_t few_connections = 1024;

// A run goes through so many buckets. Where all flows move that takes less than the millisecond for
// which a kernel without full preemption may be kept from other work.
constexpr std::uint32_t buckets_at_once = 1U << 9;
// The rest is moved after the next sweep.
constexpr auto longest_walk = std::chrono::seconds(1);

double share_in_use(const TableLoad& load, std::uint32_t shift) {
  const auto slots = std::uint64_t{sluice_area_homes(load.homes, shift)} * load.bucket_slots;
  return 2.0 * static_cast<double>(load.connections) / static_cast<double>(slots);
}

}  // namespace

std::uint32_t fitting_area(const TableLoad& load) {
  for (std::uint32_t bits = SLUICE_SMALLEST_AREA_BITS; bits < 32; ++bits) {
    const auto shift = static_cast<std::uint32_t>(SLUICE_AREA_SHIFT_OF(bits));
    if (sluice_area_homes(load.homes, shift) == load.homes) break;
    if (share_in_use(load, shift) <= fitting_share) return shift;
  }
  return 0;
}

bool is_crowded(const TableLoad& load, std::uint32_t shift) {
  return shift != 0 && share_in_use(load, shift) > crowded_share(load);
}

void AreaKeeper::note_load(std::uint64_t connections4, std::uint64_t connections6) {
  families_[0].connections = connections4;
  families_[1].connections = connections6;
}

Result<void> AreaKeeper::fit(int rehome_fd, const kernel::Program& program) {
  if (rehome_fd < 0) return {};
  const auto table = program.flow_table();
  if (!table) return tl::unexpected(table.error());
  const kernel::ArrayMap<std::uint64_t> areas(program, "flow_areas");
  for (std::uint32_t i = 0; i < families_.size(); ++i) {
    const auto area = areas.lookup(i);
    if (!area) return tl::unexpected(area.error());
    auto& family = families_[i];
    const bool ipv4 = i == 0;
    const TableLoad load{
        ipv4 ? table->homes4 : table->homes6,
        ipv4 ? std::uint32_t{SLUICE_BUCKET_SLOTS4} : std::uint32_t{SLUICE_BUCKET_SLOTS6},
        family.connections};
    const auto wanted = family.wanted_area(load, area->value_or(0));
    if (auto walked = family.walk(rehome_fd, ipv4 ? 4 : 6, wanted); !walked) return walked;
    if (const auto left = areas.lookup(i); left) fitted_[i] = left->value_or(0);
  }
  return {};
}

bool AreaKeeper::is_changed(const kernel::Program& program) const {
  const kernel::ArrayMap<std::uint64_t> areas(program, "flow_areas");
  for (std::uint32_t i = 0; i < fitted_.size(); ++i) {
    const std::uint64_t fitted = fitted_[i];
    if (fitted == not_fitted) continue;
    const auto area = areas.lookup(i);
    if (area && area->value_or(fitted) != fitted) return true;
  }
  return false;
}

std::uint32_t AreaKeeper::Family::wanted_area(const TableLoad& load, std::uint64_t area) {
  const auto now = SLUICE_AREA_SHIFT(area), old = SLUICE_AREA_OLD_SHIFT(area);
  const auto homes = [&](std::uint32_t shift) { return sluice_area_homes(load.homes, shift); };
  // A change that turns out to be a mistake goes back, any other one goes on.
  if (now != old) return is_crowded(load, now) && homes(old) > homes(now) ? old : now;
  const auto fitting = fitting_area(load);
  if (is_crowded(load, now)) return fitting;
  sweeps_too_large = homes(fitting) < homes(now) ? sweeps_too_large + 1 : 0;
  const bool nothing_to_move = load.connections <= few_connections;
  if (sweeps_too_large < (nothing_to_move ? 1 : sweeps_until_it_shrinks)) return now;
  sweeps_too_large = 0;
  return fitting;
}

Result<void> AreaKeeper::Family::walk(int rehome_fd, std::uint32_t family, std::uint32_t wanted) {
  const auto until = std::chrono::steady_clock::now() + longest_walk;
  do {
    sluice_flow_rehome request{};
    request.family = family;
    request.shift = wanted;
    request.buckets = buckets_at_once;
    request.first = first;
    request.change = change;
    request.left = left;
    if (auto ran = kernel::rehome_flows(rehome_fd, request); !ran) return ran;
    first = request.first;
    change = request.change;
    left = request.left;
    // Where something was left behind the next sweep makes a new attempt.
    if (request.refused != 0 || first == 0) return {};
  } while (std::chrono::steady_clock::now() < until);
  return {};
}

}  // namespace sluice::dataplane
