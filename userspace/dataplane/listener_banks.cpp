#include "dataplane/listener_banks.hpp"

namespace sluice::dataplane {

Result<ListenerBanks> ListenerBanks::open(const kernel::Program& program, kernel::Access access) {
  const kernel::RawMap map(program, "listener_banks");
  if (map.fd() < 0) return ListenerBanks();
  return kernel::map_memory_of(map, sizeof(sluice_listener_banks), access)
      .map([](kernel::MapMemory&& memory) { return ListenerBanks(std::move(memory)); });
}

const sluice_listener_banks& ListenerBanks::banks() const {
  static constexpr sluice_listener_banks one_bank{};
  return memory_ ? *static_cast<const sluice_listener_banks*>(memory_.get()) : one_bank;
}

void ListenerBanks::set(std::uint32_t member, std::uint32_t bank) {
  const auto& there = banks().of_member[member];
  if (there == bank) return;  // as in a program with one bank
  __atomic_store_n(const_cast<__u8*>(&there), static_cast<__u8>(bank), __ATOMIC_RELEASE);
}

}  // namespace sluice::dataplane
