// read_slot(): copies a slot of a flow table from the map's memory while packets change it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "maps/flow.h"

namespace sluice::dataplane {

// Does the same as flow_take() in bpf/flow_table.h: reads the state, then the rest, and then checks
// that all of it belongs to one flow. nullopt: the slot holds no flow, or another one has taken it
// meanwhile.
template <typename Slot>
std::optional<Slot> read_slot(const Slot& place) {
  constexpr std::size_t words = sizeof(Slot) / sizeof(std::uint64_t), state = words - 1;
  constexpr std::uint64_t identity =
      SLUICE_STATE_PUT(LISTENER_IN_BANK, ~0ULL) | SLUICE_STATE_PUT(MEMBER, ~0ULL) |
      SLUICE_STATE_PUT(PROTOCOL, ~0ULL) | SLUICE_FLOW_TO_CLIENT | SLUICE_FLOW_KEEPS_CLIENT;
  const auto* memory = reinterpret_cast<const std::uint64_t*>(&place);
  const auto load = [&](std::size_t word) {
    return __atomic_load_n(memory + word, __ATOMIC_ACQUIRE);
  };

  std::uint64_t copy[words];
  copy[state] = load(state);
  if (!SLUICE_STATE_GET(copy[state], PROTOCOL)) return std::nullopt;
  for (std::size_t word = 0; word < state; ++word) copy[word] = load(word);
  if ((load(state) ^ copy[state]) & identity) return std::nullopt;
  for (std::size_t word = 0; word < state; ++word) {
    if (load(word) != copy[word]) return std::nullopt;
  }
  Slot slot;
  std::memcpy(&slot, copy, sizeof slot);
  return slot;
}

}  // namespace sluice::dataplane
