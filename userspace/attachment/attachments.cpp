// Finds out from the pins and the kernel what is attached now.
#include "attachment/attachment.hpp"
#include "attachment/nic.hpp"
#include "attachment/shared.hpp"
#include "kernel/kernel_info.hpp"

namespace sluice::attachment {
namespace {

Result<Attachment> linked(const kernel::PinDirectory& pins, const std::string& pinned_name) {
  const auto fd = kernel::open_pin(pins.link(pinned_name));
  if (!fd) return tl::unexpected(fd.error());
  const auto link = kernel::link_info(fd->get());
  if (!link) return tl::unexpected(link.error());

  Attachment attachment;
  attachment.pin = pins.link(pinned_name);
  attachment.interface = pinned_name;
  attachment.index = link->interface_index;
  attachment.link_id = link->id;
  attachment.program_id = link->program_id;
  // An interface of another network namespace may have the number of one that is here.
  const auto name = nic_name(link->interface_index);
  if (!name) return attachment;
  const auto running = running_xdp(link->interface_index);
  if (!running || running->program_id != link->program_id) return attachment;
  attachment.interface = *name;
  attachment.here = true;
  attachment.mode = running->mode;
  return attachment;
}

Result<Attachment> shared(const kernel::PinDirectory& pins, const std::string& name) {
  const auto fd = kernel::open_pin(pins.shared(name));
  if (!fd) return tl::unexpected(fd.error());
  const auto program = kernel::program_info(fd->get());
  if (!program) return tl::unexpected(program.error());

  Attachment attachment;
  attachment.pin = pins.shared(name);
  attachment.interface = name;
  attachment.index = nic_index(name);
  attachment.shared = true;
  attachment.program_id = program->id;
  if (attachment.index == 0) return attachment;
  const auto state = shared_attachment(pins.shared(name), attachment.index);
  if (!state) return tl::unexpected(state.error());
  attachment.here = state->mode != XdpMode::none;
  attachment.mode = state->mode;
  attachment.dispatcher = state->dispatcher;
  return attachment;
}

}  // namespace

Result<std::vector<Attachment>> attachments(const std::filesystem::path& pin_directory) {
  const kernel::PinDirectory pins(pin_directory);
  std::vector<Attachment> all;
  for (const auto& name : pins.linked_interfaces()) {
    auto one = linked(pins, name);
    if (!one) return tl::unexpected(std::move(one.error()));
    all.push_back(std::move(*one));
  }
  for (const auto& name : pins.shared_interfaces()) {
    auto one = shared(pins, name);
    if (!one) return tl::unexpected(std::move(one.error()));
    all.push_back(std::move(*one));
  }
  return all;
}

}  // namespace sluice::attachment
