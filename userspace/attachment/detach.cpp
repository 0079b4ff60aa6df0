// detach() and detach_all(): see attachment.hpp for the contract.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "attachment/attachment.hpp"
#include "attachment/interface_slots.hpp"
#include "attachment/probe_filters.hpp"
#include "attachment/shared.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/pin_lock.hpp"

namespace sluice::attachment {
namespace {

Result<void> take_off(const Attachment& attachment) {
  if (attachment.shared) {
    if (attachment.index == 0) return {};
    return detach_shared(attachment.pin, attachment.index);
  }
  const auto link = kernel::open_pin(attachment.pin);
  if (!link) return tl::unexpected(link.error());
  if (attachment.here) remove_probe_filters(attachment.index);
  // Removing the pin is not enough: another holder of the link would keep the program on the NIC.
  // ENOLINK: it is gone.
  if (bpf_link_detach(link->get()) != 0 && errno != ENOLINK) {
    return kernel::fail_bpf(errno, "detach " + attachment.pin.string());
  }
  return {};
}

// Frees the slot and restores forwarding; returns the settings that this changed.
Result<std::vector<std::string>> put_back(const kernel::Program& program,
                                          const Attachment& attachment) {
  const InterfaceSlots slots(program);
  const auto slot = slots.find(attachment.index);
  if (!slot) return tl::unexpected(slot.error());
  std::vector<std::string> settings;
  if (!*slot) return settings;
  if (attachment.here) {
    const auto before = (*slot)->forwarding_before;
    if (auto set = restore_forwarding(attachment.interface, before); !set) {
      return tl::unexpected(std::move(set.error()));
    }
    settings = forwarding_changes(attachment.interface, before, true);
  }
  if (auto released = slots.release(attachment.index); !released) {
    return tl::unexpected(std::move(released.error()));
  }
  return settings;
}

// `program` is null when its maps don't fit this build; the NIC is freed all the same.
Result<DetachedNic> detach_one(const kernel::Program* program, const Attachment& attachment) {
  DetachedNic result{attachment.interface, attachment.index == 0};
  if (auto off = take_off(attachment); !off) {
    return fail(std::move(off.error()), "detach " + attachment.interface);
  }
  if (program != nullptr && attachment.index != 0) {
    auto settings = put_back(*program, attachment);
    if (!settings) return fail(settings.error(), "detach " + attachment.interface);
    result.settings = std::move(*settings);
  }
  if (::unlink(attachment.pin.c_str()) != 0) {
    return kernel::fail_bpf(errno, "remove " + attachment.pin.string());
  }
  return result;
}

Result<void> make_ready(const BeforeDetaching& before) {
  return before ? before() : Result<void>();
}

// Frees the slots of interfaces that vanished: those that belong to nobody in `left`.
void sweep_slots(const kernel::Program& program, const std::vector<Attachment>& left) {
  const InterfaceSlots slots(program);
  const auto taken = slots.all();
  if (!taken) return;
  for (const auto& slot : *taken) {
    const bool in_use = std::any_of(left.begin(), left.end(), [&](const Attachment& one) {
      return one.index == (slot.tags == 0 ? slot.ifindex : slot.parent);
    });
    if (!in_use) (void)slots.release(slot.ifindex);
  }
}

}  // namespace

Result<std::vector<DetachedNic>> detach(const std::filesystem::path& pin_directory,
                                        const std::vector<std::string>& interfaces,
                                        const BeforeDetaching& before) {
  const kernel::PinDirectory pins(pin_directory);
  if (auto pinned = pins.require_pinned(); !pinned) {
    return tl::unexpected(std::move(pinned.error()));
  }
  const auto lock = kernel::lock_for_change(pins.path());
  if (!lock) return tl::unexpected(lock.error());
  const auto program = kernel::Program::look_at_pinned(pins.path());
  if (!program) return tl::unexpected(program.error());
  const auto present = attachments(pins.path());
  if (!present) return tl::unexpected(present.error());

  std::vector<Attachment> chosen;
  for (const auto& name : interfaces) {
    const auto found = std::find_if(present->begin(), present->end(),
                                    [&](const Attachment& one) { return one.interface == name; });
    if (found == present->end()) {
      return fail(ErrorKind::not_found, "Sluice is not attached to '" + name + "'",
                  "see: sluice-loader status");
    }
    const bool twice = std::any_of(chosen.begin(), chosen.end(),
                                   [&](const Attachment& one) { return one.pin == found->pin; });
    if (!twice) chosen.push_back(*found);
  }
  if (auto ready = make_ready(before); !ready) return tl::unexpected(std::move(ready.error()));
  std::vector<DetachedNic> detached;
  for (const auto& one : chosen) {
    auto done = detach_one(&*program, one);
    if (!done) return tl::unexpected(std::move(done.error()));
    detached.push_back(std::move(*done));
  }
  if (const auto left = attachments(pins.path())) sweep_slots(*program, *left);
  return detached;
}

Result<std::vector<DetachedNic>> detach_all(const std::filesystem::path& pin_directory,
                                            const BeforeDetaching& before) {
  const kernel::PinDirectory pins(pin_directory);
  if (auto pinned = pins.require_pinned(); !pinned) {
    return tl::unexpected(std::move(pinned.error()));
  }
  const auto lock = kernel::lock_for_change(pins.path());
  if (!lock) return tl::unexpected(lock.error());
  const auto program = kernel::Program::look_at_pinned(pins.path());
  if (!program && program.error().kind != ErrorKind::conflict) {
    return tl::unexpected(program.error());
  }
  const auto present = attachments(pins.path());
  if (!present) return tl::unexpected(present.error());

  if (auto ready = make_ready(before); !ready) return tl::unexpected(std::move(ready.error()));
  std::vector<DetachedNic> detached;
  for (const auto& one : *present) {
    auto done = detach_one(program ? &*program : nullptr, one);
    if (!done) return tl::unexpected(std::move(done.error()));
    detached.push_back(std::move(*done));
  }
  if (auto withdrawn = pins.withdraw(); !withdrawn) {
    return tl::unexpected(std::move(withdrawn.error()));
  }
  return detached;
}

}  // namespace sluice::attachment
