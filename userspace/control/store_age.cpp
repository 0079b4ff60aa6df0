#include "control/store_age.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/reconciler.hpp"

namespace sluice::control {
namespace {

// "would remove VIP 10.0.0.16", "would remove 12 VIPs (10.0.0.16, 10.0.0.17, 10.0.0.18, ...)"
std::string loss(const store::Contents& stored, const DataPlaneState& present) {
  const auto wanted = desired_state(stored.model, stored.health);
  std::vector<std::string> lost;
  std::size_t others = 0;
  for (const auto& [address, vip] : present.vips) {
    const bool is_of_node = vip.snat && vip.load_balancer.is_nil();  // not stored
    if (!wanted.vips.contains(address) && !vip.leaving && !is_of_node)
      lost.push_back(address.to_string());
  }
  for (const auto& operation : diff(wanted, present)) {
    if (!std::holds_alternative<RemoveVip>(operation)) others++;
  }
  if (lost.empty()) return fmt::format("would undo {} of its entries", others);
  if (lost.size() == 1) return "would remove VIP " + lost[0];
  constexpr std::size_t shown = 3;
  const auto count = lost.size();
  if (count > shown) {
    lost.resize(shown);
    lost.emplace_back("...");
  }
  return fmt::format("would remove {} VIPs ({})", count, fmt::join(lost, ", "));
}

}  // namespace

Result<void> check_store_age(const store::Contents& stored, const store::Position& carried,
                             const DataPlaneState& present) {
  if (present == DataPlaneState{}) return {};
  std::string what;
  if (stored.position == carried) return {};
  if (stored.model == model::Model{} && stored.position.store != carried.store) {
    what = "holds nothing, but the data plane carries objects";
  } else if (carried.store.is_nil()) {
    return {};  // of a version that noted nothing
  } else if (stored.position.store != carried.store) {
    what = "is not the one that the data plane was filled from";
  } else if (stored.position.generation < carried.generation) {
    what = fmt::format("is older than what the data plane carries (commit {} of {})",
                       stored.position.generation, carried.generation);
  } else {
    return {};
  }
  return fail(
      ErrorKind::conflict,
      fmt::format("the stored state {}: to start from it {}", what, loss(stored, present)),
      "put the right sluice.db back, with its sluice.db-wal, or name the right --state-dir; "
      "--accept-older-state starts all the same");
}

}  // namespace sluice::control
