// The `interfaces` map: one slot per attached NIC, at its index modulo the capacity.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "attachment/nic.hpp"
#include "base/result.hpp"
#include "kernel/map.hpp"
#include "maps/interface.h"

namespace sluice::attachment {

class InterfaceSlots {
 public:
  explicit InterfaceSlots(const kernel::Program& program) : map_(program, "interfaces") {}

  // Fills the NIC's slot. ErrorKind::conflict if it belongs to another interface that `in_use`
  // confirms; the slot of an interface that vanished without being detached is overwritten.
  Result<void> claim(const Nic& nic, std::uint8_t forwarding_before,
                     const std::function<bool(std::uint32_t)>& in_use) const;
  // Frees the slot of that interface; no-op when it has none.
  Result<void> release(std::uint32_t interface_index) const;

  Result<std::optional<sluice_interface>> find(std::uint32_t interface_index) const;
  // Notes what enable_forwarding() found and changed.
  Result<void> set_forwarding_before(std::uint32_t interface_index, std::uint8_t before) const;
  // Notes the mode in which the program runs there.
  Result<void> set_generic(std::uint32_t interface_index, bool generic) const;
  // Updates MAC and addresses; returns false if they were up to date.
  Result<bool> refresh(const Nic& nic) const;
  // Gives slots to the VLAN interfaces on top of attached NICs and frees those of interfaces that
  // are gone. Returns the indices of those whose slots are taken by others: frames can't leave
  // through them.
  struct Vlan {
    std::uint32_t index = 0;
    std::uint32_t parent = 0;  // the interface below, which may be a VLAN interface too
    std::uint16_t id = 0;
    std::uint16_t ethertype = 0;  // 0x8100 or 0x88a8
  };
  Result<std::vector<std::uint32_t>> set_vlans(const std::vector<Vlan>& vlans) const;
  // The occupied slots, of NICs and of VLAN interfaces.
  Result<std::vector<sluice_interface>> all() const;

 private:
  kernel::ArrayMap<sluice_interface> map_;
};

MacAddress mac_of(const sluice_interface& slot);

}  // namespace sluice::attachment
