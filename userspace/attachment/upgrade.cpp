// upgrade(): see attachment.hpp for the contract.
#include <bpf/bpf.h>

#include "attachment/attachment.hpp"
#include "attachment/interface_slots.hpp"
#include "attachment/shared.hpp"
#include "kernel/exchange.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/pin_lock.hpp"
#include "kernel/program.hpp"
#include "kernel/versions.hpp"

namespace sluice::attachment {
namespace {

Result<void> swap_program(const Attachment& nic, const kernel::Program& program) {
  if (nic.shared) return upgrade_shared(program, nic.index, nic.pin);
  return kernel::exchange_program(nic.pin, program.xdp_fd());
}

Result<std::vector<std::string>> swap_everywhere(const std::vector<Attachment>& nics,
                                                 const kernel::Program& old,
                                                 const kernel::Program& fresh) {
  std::vector<std::string> done;
  for (const auto& nic : nics) {
    if (nic.index == 0) continue;  // its interface is gone
    auto swapped = swap_program(nic, fresh);
    if (!swapped) {
      // Shared NICs can only be given this build again, which runs over the same maps and is
      // harmless.
      for (std::size_t i = 0; i < nics.size() && &nics[i] != &nic; ++i) {
        if (nics[i].index != 0 && !nics[i].shared) (void)swap_program(nics[i], old);
      }
      return fail(std::move(swapped.error()), "upgrade " + nic.interface);
    }
    done.push_back(nic.interface);
  }
  return done;
}

}  // namespace

Result<UpgradeReport> upgrade(const std::filesystem::path& pin_directory) {
  const kernel::PinDirectory pins(pin_directory);
  if (auto pinned = pins.require_pinned(); !pinned) {
    return tl::unexpected(std::move(pinned.error()));
  }
  const auto lock = kernel::lock_for_change(pins.path());
  if (!lock) return tl::unexpected(lock.error());
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

  // From here on the maps may say what only this build's version can read.
  if (auto noted = kernel::note_versions(*fresh); !noted)
    return tl::unexpected(std::move(noted.error()));
  auto swapped = swap_everywhere(*nics, *old, *fresh);
  if (!swapped) return tl::unexpected(std::move(swapped.error()));
  if (auto replaced = pins.replace_programs(*fresh); !replaced) {
    return tl::unexpected(std::move(replaced.error()));
  }
  return UpgradeReport{before->id, after->id, before->tag, after->tag, std::move(*swapped)};
}

}  // namespace sluice::attachment
