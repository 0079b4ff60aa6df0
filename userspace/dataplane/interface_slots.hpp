// The `interfaces` map: one slot per attached NIC, at its index modulo the capacity.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "dataplane/map.hpp"
#include "dataplane/nic.hpp"
#include "maps/interface.h"

namespace sluice::dataplane {

class InterfaceSlots {
 public:
  explicit InterfaceSlots(const Program& program) : map_(program, "interfaces") {}

  // Fills the NIC's slot. ErrorKind::conflict when it belongs to another interface that `in_use`
  // confirms; one that vanished without being detached is overwritten.
  Result<void> claim(const Nic& nic, bool forwarding_before,
                     const std::function<bool(std::uint32_t)>& in_use) const;
  // Frees the slot of that interface; no-op when it has none.
  Result<void> release(std::uint32_t interface_index) const;

  Result<std::optional<sluice_interface>> find(std::uint32_t interface_index) const;
  Result<void> set_mac(sluice_interface slot, const MacAddress& mac) const;
  // The slots that are taken.
  Result<std::vector<sluice_interface>> all() const;

 private:
  ArrayMap<sluice_interface> map_;
};

MacAddress mac_of(const sluice_interface& slot);

}  // namespace sluice::dataplane
