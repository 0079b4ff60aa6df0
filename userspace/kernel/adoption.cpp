#include "kernel/adoption.hpp"

namespace sluice::kernel {
namespace {

Result<Adopted> adopt(const PinDirectory& pins) {
  auto program = Program::open_pinned(pins.path());
  if (!program) return tl::unexpected(std::move(program.error()));
  return Adopted{std::move(*program), false};
}

}  // namespace

Result<Adopted> adopt_or_load(const PinDirectory& pins, std::uint32_t flows) {
  if (auto lasting = pins.require_lasting_bpffs(); !lasting) {
    return tl::unexpected(std::move(lasting.error()));
  }
  const auto pinned = pins.exists();
  if (!pinned) return tl::unexpected(pinned.error());
  if (*pinned) return adopt(pins);

  auto program = Program::load({.flows = flows});
  if (!program) return tl::unexpected(std::move(program.error()));
  const auto published = pins.publish(*program);
  if (!published) return tl::unexpected(published.error());
  if (!*published) return adopt(pins);  // another process was faster
  return Adopted{std::move(*program), true};
}

}  // namespace sluice::kernel
