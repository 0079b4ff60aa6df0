// ListenerBanks: the map `listener_banks` in our memory, which tells whose listener a flow has
// (maps/listener_bank.h).
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "kernel/map.hpp"
#include "kernel/program.hpp"
#include "maps/listener_bank.h"

namespace sluice::dataplane {

class ListenerBanks {
 public:
  ListenerBanks() = default;  // all listeners are in one bank
  // The memory stays when the program is closed. A program that is looked at, and is older than the
  // map, has one bank.
  static Result<ListenerBanks> open(const kernel::Program& program,
                                    kernel::Access access = kernel::Access::read);

  std::uint32_t listener_of_flow(std::uint64_t state) const {
    return sluice_listener_of_flow(&banks(), state) % SLUICE_MAX_LISTENERS;
  }
  // The listener with this number in the bank of that member.
  std::uint32_t listener_of(std::uint32_t number, std::uint32_t member) const {
    return sluice_listener_in_bank_of(&banks(), number, member) % SLUICE_MAX_LISTENERS;
  }
  std::uint32_t of_member(std::uint32_t index) const { return banks().of_member[index]; }
  // Preconditions: opened for writing; no flow is left on the index.
  void set(std::uint32_t member, std::uint32_t bank);

 private:
  explicit ListenerBanks(kernel::MapMemory memory) : memory_(std::move(memory)) {}
  const sluice_listener_banks& banks() const;

  kernel::MapMemory memory_;  // null: one bank
};

}  // namespace sluice::dataplane
