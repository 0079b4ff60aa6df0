// attach(): see attachment.hpp for the contract.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <unistd.h>

#include <functional>

#include "attachment/attachment.hpp"
#include "attachment/interface_slots.hpp"
#include "attachment/resize.hpp"
#include "attachment/shared.hpp"
#include "kernel/adoption.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/pin_lock.hpp"
#include "maps/flow.h"

namespace sluice::attachment {
namespace {

// Undoes what was done, last step first, unless keep() is called.
class Rollback {
 public:
  Rollback() = default;
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) (*step)();
  }
  void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
  void keep() { steps_.clear(); }

 private:
  std::vector<std::function<void()>> steps_;
};

// The state of one call of attach().
struct Context {
  const AttachRequest& request;
  const kernel::PinDirectory& pins;
  const kernel::Program& program;
  const std::vector<Attachment>& existing;
  Rollback& rollback;
};

struct Started {
  XdpMode mode = XdpMode::none;
  std::string native_refusal;
  bool dispatcher = false;
};

tl::unexpected<Error> occupied(const Nic& nic, const RunningXdp& running, bool shared) {
  const auto info = kernel::program_info_by_id(running.program_id);
  const auto name = info && !info->name.empty() ? " '" + info->name + "'" : std::string();
  const auto link = kernel::xdp_link_of(nic.index, running.program_id);
  auto hint = link ? fmt::format("take it off with: bpftool link detach id {}", *link)
                   : fmt::format("take it off with: ip link set dev {} {} off", nic.name,
                                 running.mode == XdpMode::generic ? "xdpgeneric" : "xdp");
  if (!shared && !link) hint += "; or run both with --shared, if it was loaded through libxdp";
  return fail(ErrorKind::conflict,
              fmt::format("XDP program {}{} runs on it in {} mode", running.program_id, name,
                          to_string(running.mode)),
              std::move(hint));
}

// Returns the driver's own error text, which only attaching by netlink brings back. If that
// succeeds against expectation, the program is taken off again.
std::string words_of_the_driver(int program, std::uint32_t interface_index) {
  kernel::LibbpfLog log;
  const int index = static_cast<int>(interface_index);
  if (bpf_xdp_attach(index, program, XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr) ==
      0) {
    LIBBPF_OPTS(bpf_xdp_attach_opts, ours, .old_prog_fd = program);
    bpf_xdp_detach(index, XDP_FLAGS_DRV_MODE | XDP_FLAGS_REPLACE, &ours);
  }
  return log.kernel_message();
}

Result<void> start_link(const Context& context, const Nic& nic, XdpMode mode) {
  const int program = context.program.xdp_fd();
  LIBBPF_OPTS(bpf_link_create_opts, options,
              .flags = mode == XdpMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
  const UniqueFd link(bpf_link_create(program, static_cast<int>(nic.index), BPF_XDP, &options));
  if (!link) {
    const int error = errno;
    auto failed = kernel::fail_bpf(error, fmt::format("attach in {} mode", to_string(mode)));
    if (mode != XdpMode::native) return failed;
    if (const auto words = words_of_the_driver(program, nic.index); !words.empty()) {
      failed.value().message += ", \"" + words + "\"";
    }
    return failed;
  }
  const auto pin = context.pins.link(nic.name);
  if (bpf_obj_pin(link.get(), pin.c_str()) != 0)
    return kernel::fail_bpf(errno, "pin " + pin.string());
  // Dropping the last reference would detach too, but some time later, from a kernel worker.
  context.rollback.add([pin] {
    if (const auto pinned = kernel::open_pin(pin)) bpf_link_detach(pinned->get());
    ::unlink(pin.c_str());
  });
  return {};
}

Result<bool> start_shared(const Context& context, const Nic& nic, XdpMode mode) {
  const auto pin = context.pins.shared(nic.name);
  const auto started = attach_shared(context.program, nic.index, mode, pin);
  if (!started) return tl::unexpected(started.error());
  context.rollback.add([pin, index = nic.index] {
    (void)detach_shared(pin, index);
    ::unlink(pin.c_str());
  });
  return started->dispatcher;
}

Result<Started> start_in(const Context& context, const Nic& nic, XdpMode mode) {
  if (context.request.shared) {
    const auto dispatcher = start_shared(context, nic, mode);
    if (!dispatcher) return tl::unexpected(dispatcher.error());
    return Started{mode, {}, *dispatcher};
  }
  if (auto started = start_link(context, nic, mode); !started) {
    return tl::unexpected(std::move(started.error()));
  }
  return Started{mode, {}, false};
}

Result<Started> start(const Context& context, const Nic& nic) {
  switch (context.request.mode) {
    case AttachMode::native: {
      auto started = start_in(context, nic, XdpMode::native);
      if (!started && started.error().hint.empty()) {
        started.error().hint = "use --mode auto or generic";
      }
      return started;
    }
    case AttachMode::generic:
      return start_in(context, nic, XdpMode::generic);
    case AttachMode::automatic:
      break;
  }
  auto native = start_in(context, nic, XdpMode::native);
  if (native) return native;
  auto generic = start_in(context, nic, XdpMode::generic);
  if (generic) generic->native_refusal = native.error().text();
  return generic;
}

// Frees the interface's pin name from leftovers of an earlier interface of this name and from
// renamed interfaces.
Result<void> clear_pin_name(const Context& context, const Nic& nic) {
  for (const auto& old : context.existing) {
    const auto wanted = old.shared ? context.pins.shared(nic.name) : context.pins.link(nic.name);
    if (old.pin != wanted || (old.here && old.index == nic.index)) continue;
    if (old.here) {
      const auto renamed = context.pins.link(old.interface);
      if (::rename(wanted.c_str(), renamed.c_str()) == 0) continue;
      return kernel::fail_bpf(errno, "rename " + wanted.string());
    }
    if (!old.shared && old.index != 0) {
      return fail(ErrorKind::conflict,
                  fmt::format("{} belongs to interface index {} in another network namespace",
                              wanted.string(), old.index),
                  "use another --pin-dir for each network namespace");
    }
    ::unlink(wanted.c_str());
  }
  return {};
}

Result<void> occupy_slot(const Context& context, const Nic& nic, std::uint8_t forwarding_before) {
  const InterfaceSlots slots(context.program);
  const auto in_use = [&](std::uint32_t index) {
    for (const auto& attachment : context.existing) {
      if (attachment.index == index) return true;
    }
    for (const auto& name : context.request.interfaces) {
      if (nic_index(name) == index) return true;
    }
    return false;
  };
  const auto claimed = slots.claim(nic, forwarding_before, in_use);
  if (claimed) {
    context.rollback.add([slots, index = nic.index] { (void)slots.release(index); });
  }
  return claimed;
}

// Tells what forwarded before Sluice.
Result<std::uint8_t> forwarding_before_sluice(const Context& context, const Nic& nic) {
  const auto slot = InterfaceSlots(context.program).find(nic.index);
  // If a slot was left behind (its pin was removed by hand), it knows better than the present
  // value.
  if (slot && *slot && mac_of(**slot) == nic.mac) return (*slot)->forwarding_before;
  return forwarding(nic.name);
}

Result<AttachedNic> attach_one(const Context& context, const Nic& nic) {
  AttachedNic result;
  result.interface = nic.name;
  for (const auto& present : context.existing) {
    if (!present.here || present.index != nic.index) continue;
    result.already_attached = true;
    result.mode = present.mode;
    result.shared = present.shared;
    result.dispatcher = present.dispatcher;
    return result;
  }
  const auto running = running_xdp(nic.index);
  if (!running) return tl::unexpected(running.error());
  const bool dispatched = context.request.shared && shareable(nic.index);
  if (running->mode != XdpMode::none && !dispatched) {
    return occupied(nic, *running, context.request.shared);
  }
  if (auto cleared = clear_pin_name(context, nic); !cleared) {
    return tl::unexpected(std::move(cleared.error()));
  }

  const auto before = forwarding_before_sluice(context, nic);
  if (!before) return tl::unexpected(before.error());
  if (auto claimed = occupy_slot(context, nic, *before); !claimed) {
    return tl::unexpected(std::move(claimed.error()));
  }
  const auto changed = enable_forwarding(nic.name, *before);
  if (!changed) return tl::unexpected(changed.error());
  context.rollback.add([name = nic.name, was = *changed] { (void)restore_forwarding(name, was); });
  if (auto noted = InterfaceSlots(context.program).set_forwarding_before(nic.index, *changed);
      !noted) {
    return tl::unexpected(std::move(noted.error()));
  }
  auto started = start(context, nic);
  if (!started) return tl::unexpected(std::move(started.error()));
  auto told =
      InterfaceSlots(context.program).set_generic(nic.index, started->mode == XdpMode::generic);
  if (!told) return tl::unexpected(std::move(told.error()));

  result.mode = started->mode;
  result.native_refusal = std::move(started->native_refusal);
  result.settings = forwarding_changes(nic.name, *changed, false);
  result.shared = context.request.shared;
  result.dispatcher = started->dispatcher;
  return result;
}

Result<std::vector<Nic>> find_nics(const std::vector<std::string>& names) {
  std::vector<Nic> nics;
  for (const auto& name : names) {
    auto nic = find_nic(name);
    if (!nic) return tl::unexpected(std::move(nic.error()));
    nics.push_back(std::move(*nic));
  }
  return nics;
}

// Gives the pinned flow table the size that was asked for, and then opens the pins anew.
Result<std::optional<Resized>> fit_size(const kernel::PinDirectory& pins,
                                        const AttachRequest& request, kernel::Adopted& adopted) {
  if (adopted.loaded || !request.flows || *request.flows == adopted.program.flow_capacity())
    return std::nullopt;
  auto resized = resize(pins, adopted.program, *request.flows);
  if (!resized) return tl::unexpected(std::move(resized.error()));
  auto program = kernel::Program::open_pinned(pins.path());
  if (!program) return tl::unexpected(std::move(program.error()));
  adopted.program = std::move(*program);
  return std::optional(*resized);
}

}  // namespace

Result<AttachReport> attach(const AttachRequest& request) {
  const auto nics = find_nics(request.interfaces);
  if (!nics) return tl::unexpected(nics.error());
  const kernel::PinDirectory pins(request.pin_directory);
  const auto lock = kernel::lock_for_change(pins.path());
  if (!lock) return tl::unexpected(lock.error());
  if (const auto pinned = pins.exists(); pinned && *pinned) {
    if (auto finished = finish_resize(pins); !finished)
      return tl::unexpected(std::move(finished.error()));
  }
  auto adopted = kernel::adopt_or_load(pins, request.flows.value_or(SLUICE_DEFAULT_FLOWS));
  if (!adopted) return tl::unexpected(adopted.error());
  const auto resized = fit_size(pins, request, *adopted);
  if (!resized) return tl::unexpected(resized.error());
  Rollback rollback;
  if (adopted->loaded) rollback.add([&pins] { (void)pins.withdraw(); });

  AttachReport report;
  report.loaded = adopted->loaded;
  if (*resized) {
    report.flows_before = (*resized)->flows_before;
    report.connections_moved = (*resized)->moved;
  }
  report.flow_capacity = adopted->program.flow_capacity();
  report.map_bytes = kernel::map_memory(adopted->program);
  for (const auto& nic : *nics) {
    const auto existing = attachments(pins.path());
    if (!existing) return tl::unexpected(existing.error());
    auto attached = attach_one({request, pins, adopted->program, *existing, rollback}, nic);
    if (!attached) return fail(std::move(attached.error()), "attach to " + nic.name);
    report.nics.push_back(std::move(*attached));
  }
  rollback.keep();
  return report;
}

}  // namespace sluice::attachment
