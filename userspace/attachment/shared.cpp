#include "attachment/shared.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <memory>

#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/object.hpp"
#include "maps/flow.h"

namespace sluice::attachment {
namespace {

struct CloseProgram {
  void operator()(xdp_program* program) const { xdp_program__close(program); }
};
using XdpProgram = std::unique_ptr<xdp_program, CloseProgram>;

struct CloseMultiprog {
  void operator()(xdp_multiprog* programs) const { xdp_multiprog__close(programs); }
};

// An opened object and the libxdp program that attaching makes of it.
struct Instance {
  kernel::Object object;
  XdpProgram program;
};

xdp_attach_mode to_libxdp(XdpMode mode) {
  return mode == XdpMode::native ? XDP_MODE_NATIVE : XDP_MODE_SKB;
}

XdpMode from_libxdp(xdp_attach_mode mode) {
  switch (mode) {
    case XDP_MODE_NATIVE:
      return XdpMode::native;
    case XDP_MODE_SKB:
      return XdpMode::generic;
    case XDP_MODE_HW:
      return XdpMode::hardware;
    default:
      return XdpMode::none;
  }
}

// Kernels from 6.12 on refuse a program that moves the packet's beginning in a dispatcher's place
// for programs that don't, which all places of older dispatchers are
// (https://github.com/xdp-project/xdp-tools/pull/509).
tl::unexpected<Error> fail_to_attach(int error, std::string kernel_message) {
  if (-error == EINVAL && kernel_message.empty()) {
    kernel_message =
        "libxdp's dispatcher (xdp-dispatcher.o) may be too old for this kernel: update libxdp to "
        "one of "
        "June 2025 or later, or give Sluice the NIC alone, without --shared";
  }
  return kernel::fail_bpf(error, "attach through libxdp", std::move(kernel_message));
}

Result<Instance> new_instance(const kernel::Program& maps) {
  auto object = kernel::Object::open();
  if (!object) return tl::unexpected(std::move(object.error()));
  const auto table = maps.flow_table();
  if (!table) return tl::unexpected(table.error());
  object->set_flow_table(*table);
  if (auto reused = object->reuse_maps(maps); !reused) {
    return tl::unexpected(std::move(reused.error()));
  }
  // libxdp loads the whole object; the other programs are loaded and pinned already.
  object->leave_out_requests();
  DECLARE_LIBXDP_OPTS(xdp_program_opts, options);
  options.obj = object->get();
  options.prog_name = bpf_program__name(object->xdp_program());
  xdp_program* program = xdp_program__create(&options);
  if (const long error = libxdp_get_error(program)) {
    return kernel::fail_bpf(static_cast<int>(error), "prepare the program for libxdp");
  }
  return Instance{std::move(*object), XdpProgram(program)};
}

Result<XdpProgram> open_instance(const std::filesystem::path& pin) {
  xdp_program* program = xdp_program__from_pin(pin.c_str());
  if (const long error = libxdp_get_error(program)) {
    return kernel::fail_bpf(static_cast<int>(error), "open " + pin.string());
  }
  return XdpProgram(program);
}

Result<void> pin_instance(const XdpProgram& program, const std::filesystem::path& pin) {
  const auto beside = pin.string() + "-new";
  ::unlink(beside.c_str());
  if (const int error = xdp_program__pin(program.get(), beside.c_str())) {
    return kernel::fail_bpf(error, "pin " + pin.string());
  }
  if (::rename(beside.c_str(), pin.c_str()) != 0)
    return kernel::fail_bpf(errno, "pin " + pin.string());
  return {};
}

}  // namespace

bool shareable(std::uint32_t interface_index) {
  const std::unique_ptr<xdp_multiprog, CloseMultiprog> programs(
      xdp_multiprog__get_from_ifindex(static_cast<int>(interface_index)));
  return !libxdp_get_error(programs.get()) && !xdp_multiprog__is_legacy(programs.get());
}

Result<SharedAttachment> attach_shared(const kernel::Program& maps, std::uint32_t interface_index,
                                       XdpMode mode, const std::filesystem::path& pin) {
  kernel::LibbpfLog log;
  auto instance = new_instance(maps);
  if (!instance) return tl::unexpected(std::move(instance.error()));
  const int index = static_cast<int>(interface_index);
  if (const int error = xdp_program__attach(instance->program.get(), index, to_libxdp(mode), 0)) {
    return fail_to_attach(error, log.kernel_message());
  }
  if (auto pinned = pin_instance(instance->program, pin); !pinned) {
    xdp_program__detach(instance->program.get(), index, to_libxdp(mode), 0);
    return tl::unexpected(std::move(pinned.error()));
  }
  return SharedAttachment{mode, shareable(interface_index)};
}

Result<SharedAttachment> shared_attachment(const std::filesystem::path& pin,
                                           std::uint32_t interface_index) {
  kernel::LibbpfLog log;
  const auto program = open_instance(pin);
  if (!program) return tl::unexpected(program.error());
  const int index = static_cast<int>(interface_index);
  const auto mode = from_libxdp(xdp_program__is_attached(program->get(), index));
  return SharedAttachment{mode, mode != XdpMode::none && shareable(interface_index)};
}

Result<void> detach_shared(const std::filesystem::path& pin, std::uint32_t interface_index) {
  kernel::LibbpfLog log;
  const auto program = open_instance(pin);
  if (!program) return tl::unexpected(program.error());
  const int index = static_cast<int>(interface_index);
  const auto mode = xdp_program__is_attached(program->get(), index);
  if (mode == XDP_MODE_UNSPEC) return {};
  if (const int error = xdp_program__detach(program->get(), index, mode, 0)) {
    return kernel::fail_bpf(error, "detach through libxdp", log.kernel_message());
  }
  return {};
}

Result<void> upgrade_shared(const kernel::Program& maps, std::uint32_t interface_index,
                            const std::filesystem::path& pin) {
  const auto present = shared_attachment(pin, interface_index);
  if (!present) return tl::unexpected(present.error());
  if (present->mode == XdpMode::none) return {};

  kernel::LibbpfLog log;
  auto old = open_instance(pin);
  if (!old) return tl::unexpected(std::move(old.error()));
  auto instance = new_instance(maps);
  if (!instance) return tl::unexpected(std::move(instance.error()));
  const int index = static_cast<int>(interface_index);
  const auto mode = to_libxdp(present->mode);

  if (present->dispatcher) {
    // Both instances run for a moment; libxdp replaces the dispatcher as a whole each time.
    if (const int error = xdp_program__attach(instance->program.get(), index, mode, 0)) {
      return fail_to_attach(error, log.kernel_message());
    }
    if (const int error = xdp_program__detach(old->get(), index, mode, 0)) {
      return kernel::fail_bpf(error, "detach the old program through libxdp", log.kernel_message());
    }
    return pin_instance(instance->program, pin);
  }

  // libxdp can't exchange a program that is alone on the NIC; the kernel can.
  LIBBPF_OPTS(bpf_xdp_attach_opts, exchange, .old_prog_fd = xdp_program__fd(old->get()));
  if (const int error = bpf_object__load(instance->object.get())) {
    return kernel::fail_bpf(error, "load the program", log.last_line());
  }
  const int fd = bpf_program__fd(instance->object.xdp_program());
  const auto flags = present->mode == XdpMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  if (const int error = bpf_xdp_attach(index, fd, flags | XDP_FLAGS_REPLACE, &exchange)) {
    return kernel::fail_bpf(error, "exchange the program", log.kernel_message());
  }
  const auto beside = pin.string() + "-new";
  ::unlink(beside.c_str());
  if (bpf_obj_pin(fd, beside.c_str()) != 0 || ::rename(beside.c_str(), pin.c_str()) != 0) {
    return kernel::fail_bpf(errno, "pin " + pin.string());
  }
  return {};
}

}  // namespace sluice::attachment
