#include "dataplane/flow_slot.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace sluice::dataplane {
namespace {

// Makes a flow whose number is in every field.
sluice_flow4 flow(std::uint16_t number) {
  sluice_flow4 slot{};
  slot.source = slot.destination = slot.new_source = slot.new_destination = number;
  slot.source_port = slot.destination_port = slot.new_source_port = slot.new_destination_port =
      number;
  slot.state = SLUICE_STATE_PUT(PROTOCOL, SLUICE_FLOW_TCP) | SLUICE_STATE_PUT(MEMBER, number);
  return slot;
}

bool is_whole(const sluice_flow4& slot) {
  const auto whole = flow(slot.source_port);
  return std::memcmp(&slot, &whole, sizeof slot) == 0;
}

void store(sluice_flow4& slot, std::size_t word, std::uint64_t value) {
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(&slot) + word, value, __ATOMIC_RELEASE);
}

// Reuses a slot as the data plane does: claimed, new tuple, key, state.
void give_to(sluice_flow4& slot, std::uint16_t number) {
  const auto next = flow(number);
  std::uint64_t words[4];
  std::memcpy(words, &next, sizeof words);
  store(slot, 3, SLUICE_STATE_CLAIMED);
  for (const std::size_t word : {2, 0, 1, 3}) store(slot, word, words[word]);
}

TEST(FlowSlot, ASlotThatIsFreeOrBeingFilledHoldsNoFlow) {
  sluice_flow4 slot = flow(1);
  EXPECT_TRUE(read_slot(slot));
  slot.state = SLUICE_STATE_CLAIMED;
  EXPECT_FALSE(read_slot(slot));
  slot.state = SLUICE_STATE_FREED(12345);
  EXPECT_FALSE(read_slot(slot));
}

TEST(FlowSlot, AListOfFlowsNeverMixesTwoThatTakeTurnsInASlot) {
  sluice_flow4 slot = flow(1);
  std::atomic<bool> over = false;
  std::thread packets([&] {
    for (std::uint16_t number = 1; !over; number = static_cast<std::uint16_t>(number % 1000 + 1))
      give_to(slot, number);
  });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  int torn = 0, read = 0;
  while (std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 1000; ++i) {
      const auto copy = read_slot(slot);
      if (!copy) continue;
      ++read;
      torn += !is_whole(*copy);
    }
  }
  over = true;
  packets.join();
  EXPECT_GT(read, 0);
  EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace sluice::dataplane
