#include "attachment/interface_slots.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "kernel/address.hpp"

namespace sluice::attachment {
namespace {

std::uint32_t slot_of(std::uint32_t interface_index) {
  return interface_index % SLUICE_MAX_INTERFACES;
}

void describe(const Nic& nic, sluice_interface& slot) {
  std::copy(nic.mac.begin(), nic.mac.end(), slot.mac);
  slot.ipv4 = nic.ipv4 ? kernel::to_map(*nic.ipv4).ipv4 : 0;
  slot.ipv6 = nic.ipv6 ? kernel::to_map(*nic.ipv6) : sluice_address{};
}

// Makes the slot of a VLAN interface that is on top of an attached NIC with at most SLUICE_MAX_TAGS
// tags.
std::optional<sluice_interface> vlan_slot(const InterfaceSlots::Vlan& vlan,
                                          const std::vector<InterfaceSlots::Vlan>& vlans,
                                          const std::vector<sluice_interface>& taken) {
  std::vector<sluice_tag> tags;  // innermost first
  auto at = vlan;
  while (tags.size() < SLUICE_MAX_TAGS) {
    tags.push_back({htons(at.ethertype), htons(at.id)});
    const auto nic = std::find_if(taken.begin(), taken.end(), [&](const auto& slot) {
      return slot.tags == 0 && slot.ifindex == at.parent;
    });
    if (nic != taken.end()) {
      sluice_interface slot = *nic;
      slot.ifindex = vlan.index;
      slot.parent = nic->ifindex;
      slot.tags = static_cast<__u8>(tags.size());
      std::copy(tags.rbegin(), tags.rend(), slot.tag);
      return slot;
    }
    const auto below = std::find_if(vlans.begin(), vlans.end(),
                                    [&](const auto& one) { return one.index == at.parent; });
    if (below == vlans.end()) return std::nullopt;
    at = *below;
  }
  return std::nullopt;
}

}  // namespace

Result<void> InterfaceSlots::claim(const Nic& nic, std::uint8_t forwarding_before,
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
  describe(nic, slot);
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

Result<void> InterfaceSlots::set_forwarding_before(std::uint32_t interface_index,
                                                   std::uint8_t before) const {
  const auto slot = find(interface_index);
  if (!slot) return tl::unexpected(slot.error());
  if (!*slot) return {};
  auto changed = **slot;
  changed.forwarding_before = before;
  return map_.put(slot_of(interface_index), changed);
}

Result<void> InterfaceSlots::set_generic(std::uint32_t interface_index, bool generic) const {
  const auto slot = find(interface_index);
  if (!slot) return tl::unexpected(slot.error());
  if (!*slot) return {};
  auto changed = **slot;
  changed.flags = generic ? SLUICE_INTERFACE_GENERIC : 0;
  if (changed.flags == (*slot)->flags) return {};
  return map_.put(slot_of(interface_index), changed);
}

Result<std::vector<std::uint32_t>> InterfaceSlots::set_vlans(const std::vector<Vlan>& vlans) const {
  const auto taken = all();
  if (!taken) return tl::unexpected(taken.error());
  std::map<std::uint32_t, sluice_interface> wanted;  // by index
  for (const auto& vlan : vlans) {
    if (const auto slot = vlan_slot(vlan, vlans, *taken)) wanted[vlan.index] = *slot;
  }
  for (const auto& slot : *taken) {
    if (slot.tags == 0 || wanted.contains(slot.ifindex)) continue;
    if (auto released = release(slot.ifindex); !released) return tl::unexpected(released.error());
  }
  std::vector<std::uint32_t> without;
  for (const auto& [index, slot] : wanted) {
    const auto present = map_.lookup(slot_of(index));
    if (!present) return tl::unexpected(present.error());
    const auto owner = *present ? (*present)->ifindex : 0;
    if (owner != 0 && owner != index) {
      without.push_back(index);
    } else if (auto put = map_.put(slot_of(index), slot); !put) {
      return tl::unexpected(put.error());
    }
  }
  return without;
}

Result<bool> InterfaceSlots::refresh(const Nic& nic) const {
  const auto slot = find(nic.index);
  if (!slot) return tl::unexpected(slot.error());
  if (!*slot) return false;
  auto present = **slot;
  describe(nic, present);
  if (std::memcmp(&present, &**slot, sizeof present) == 0) return false;
  return map_.put(slot_of(nic.index), present).map([] { return true; });
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

}  // namespace sluice::attachment
