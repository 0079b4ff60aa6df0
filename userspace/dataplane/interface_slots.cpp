#include "dataplane/interface_slots.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::dataplane {
namespace {

std::uint32_t slot_of(std::uint32_t interface_index) {
  return interface_index % SLUICE_MAX_INTERFACES;
}

}  // namespace

Result<void> InterfaceSlots::claim(const Nic& nic, bool forwarding_before,
                                   const std::function<bool(std::uint32_t)>& in_use) const {
  const auto present = map_.lookup(slot_of(nic.index));
  if (!present) return tl::unexpected(present.error());
  const auto owner = *present ? (*present)->ifindex : 0;
  if (owner != 0 && owner != nic.index && in_use(owner)) {
    return fail(ErrorKind::conflict,
                fmt::format("interface {} (index {}) falls on the slot of interface index {}",
                            nic.name, nic.index, owner),
                "use another --pin-dir for it, or detach the other one");
  }
  sluice_interface slot{};
  slot.ifindex = nic.index;
  std::copy(nic.mac.begin(), nic.mac.end(), slot.mac);
  slot.forwarding_before = forwarding_before;
  return map_.put(slot_of(nic.index), slot);
}

Result<void> InterfaceSlots::release(std::uint32_t interface_index) const {
  const auto slot = find(interface_index);
  if (!slot) return tl::unexpected(slot.error());
  if (!*slot) return {};
  return map_.put(slot_of(interface_index), sluice_interface{});
}

Result<std::optional<sluice_interface>> InterfaceSlots::find(std::uint32_t interface_index) const {
  auto slot = map_.lookup(slot_of(interface_index));
  if (slot && *slot && (*slot)->ifindex != interface_index) slot->reset();
  return slot;
}

Result<void> InterfaceSlots::set_mac(sluice_interface slot, const MacAddress& mac) const {
  std::copy(mac.begin(), mac.end(), slot.mac);
  return map_.put(slot_of(slot.ifindex), slot);
}

Result<std::vector<sluice_interface>> InterfaceSlots::all() const {
  const auto entries = map_.entries();
  if (!entries) return tl::unexpected(entries.error());
  std::vector<sluice_interface> taken;
  for (const auto& [index, slot] : *entries) {
    if (slot.ifindex != 0) taken.push_back(slot);
  }
  return taken;
}

MacAddress mac_of(const sluice_interface& slot) {
  MacAddress mac;
  std::copy(std::begin(slot.mac), std::end(slot.mac), mac.begin());
  return mac;
}

}  // namespace sluice::dataplane
