// upgrade(): see attachment.hpp for the contract.
#include "attachment/attachment.hpp"
#include "attachment/crossing.hpp"
#include "attachment/host.hpp"
#include "attachment/interface_slots.hpp"
#include "attachment/resize.hpp"
#include "attachment/swap.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/pin_lock.hpp"
#include "kernel/program.hpp"
#include "kernel/stale_counts.hpp"
#include "kernel/versions.hpp"

namespace sluice::attachment {
namespace {

// Upgrades where the flow tables have another layout than this build's.
Result<UpgradeReport> upgrade_across(const kernel::PinDirectory& pins) {
  const auto old = kernel::open_pin(pins.program("sluice_xdp"));
  if (!old) return tl::unexpected(old.error());
  const auto before = kernel::program_info(old->get());
  if (!before) return tl::unexpected(before.error());
  const auto carried = cross(pins);
  if (!carried) return tl::unexpected(carried.error());
  const auto fresh = kernel::open_pin(pins.program("sluice_xdp"));
  if (!fresh) return tl::unexpected(fresh.error());
  const auto after = kernel::program_info(fresh->get());
  if (!after) return tl::unexpected(after.error());
  const auto nics = attachments(pins.path());
  if (!nics) return tl::unexpected(nics.error());
  UpgradeReport report{before->id, after->id, before->tag, after->tag, {}, *carried};
  for (const auto& nic : *nics) {
    if (nic.index != 0) report.interfaces.push_back(nic.interface);
  }
  return report;
}

}  // namespace

Result<UpgradeReport> upgrade(const std::filesystem::path& pin_directory,
                              std::chrono::milliseconds patience) {
  const kernel::PinDirectory pins(pin_directory);
  if (auto pinned = pins.require_pinned(); !pinned) {
    return tl::unexpected(std::move(pinned.error()));
  }
  const auto lock = kernel::lock_for_change(pins.path(), patience);
  if (!lock) return tl::unexpected(lock.error());
  if (is_crossing(pins)) {
    if (auto finished = finish_crossing(pins); !finished)
      return tl::unexpected(std::move(finished.error()));
  }
  const auto across = needs_crossing(pins);
  if (!across) return tl::unexpected(across.error());
  if (*across) return upgrade_across(pins);
  if (auto finished = finish_resize(pins); !finished)
    return tl::unexpected(std::move(finished.error()));
  const auto old = kernel::Program::open_pinned(pins.path());
  if (!old) return tl::unexpected(old.error());
  const auto fresh = kernel::Program::load_over(*old);
  if (!fresh) return tl::unexpected(fresh.error());
  const auto before = kernel::program_info(old->xdp_fd());
  if (!before) return tl::unexpected(before.error());
  const auto after = kernel::program_info(fresh->xdp_fd());
  if (!after) return tl::unexpected(after.error());
  const auto nics = attachments(pins.path());
  if (!nics) return tl::unexpected(nics.error());

  for (const auto& nic : *nics) {  // versions before this one did not note it
    if (!nic.here) continue;
    auto told = InterfaceSlots(*fresh).set_generic(nic.index, nic.mode == XdpMode::generic);
    if (!told) return tl::unexpected(std::move(told.error()));
  }

  if (auto forgotten = kernel::forget_stale_counts(*old); !forgotten)
    return tl::unexpected(std::move(forgotten.error()));
  // From here on the maps may say what only this build's version can read.
  if (auto noted = kernel::note_versions(*fresh); !noted)
    return tl::unexpected(std::move(noted.error()));
  auto swapped = swap_everywhere(*nics, *old, *fresh);
  if (!swapped) return tl::unexpected(std::move(swapped.error()));
  if (auto replaced = pins.replace_programs(*fresh); !replaced) {
    return tl::unexpected(std::move(replaced.error()));
  }
  if (auto host = upgrade_host(pins, *fresh); !host) return tl::unexpected(std::move(host.error()));
  return UpgradeReport{before->id, after->id, before->tag, after->tag, std::move(*swapped), {}};
}

}  // namespace sluice::attachment
