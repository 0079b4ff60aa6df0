#include "dataplane/address_filters.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "dataplane/codec.hpp"
#include "maps/address_filter.h"

namespace sluice::dataplane {
namespace {

constexpr std::uint32_t only = 0;

void add_to_small(sluice_runtime& runtime, const IpAddress& address) {
  const auto bytes = to_map(address);
  if (address.is_v4()) {
    sluice_address_filter_add4(&runtime, bytes.ipv4);
  } else {
    sluice_address_filter_add6(&runtime, &bytes);
  }
}

struct Place {
  std::uint64_t word, bits;
};
Place place_in_large(const IpAddress& address) {
  const auto bytes = to_map(address);
  const auto hash =
      address.is_v4() ? sluice_large_filter_hash4(bytes.ipv4) : sluice_large_filter_hash6(&bytes);
  return {SLUICE_LARGE_FILTER_WORD(hash), SLUICE_LARGE_FILTER_BITS(hash)};
}

bool asks_large(const std::set<IpAddress>& known) {
  return known.size() >= SLUICE_LARGE_FILTER_FROM;
}

}  // namespace

Result<AddressFilters> AddressFilters::open(const kernel::Program& program) {
  auto large = kernel::map_memory_of(kernel::RawMap(program, "address_filter"),
                                     sizeof(sluice_address_filter), kernel::Access::write);
  if (!large) return tl::unexpected(std::move(large.error()));
  return AddressFilters(program, std::move(*large));
}

sluice_address_filter& AddressFilters::large() const {
  return *static_cast<sluice_address_filter*>(const_cast<void*>(large_memory_.get()));
}

// The data plane reads `runtime` meanwhile: each word is the old or the new one.
Result<void> AddressFilters::change_runtime(const std::function<void(sluice_runtime&)>& change) {
  const auto present = runtime_.lookup(only);
  if (!present) return tl::unexpected(present.error());
  auto next = present->value_or(sluice_runtime{});
  change(next);
  if (auto put = runtime_.put(only, next); !put) return put;
  // Until this the data plane asks the small filter, which is complete, too.
  __atomic_store_n(&large().complete_for, next.next_hop_generation + std::uint64_t{1},
                   __ATOMIC_RELEASE);
  return {};
}

Result<void> AddressFilters::set(const std::vector<IpAddress>& addresses) {
  std::set<IpAddress> known(addresses.begin(), addresses.end());
  known_.clear();  // if this fails, add() repeats all of it
  gone_ = 0;
  auto words = std::make_unique<std::array<std::uint64_t, SLUICE_LARGE_FILTER_WORDS>>();
  for (const auto& address : known) {
    const auto place = place_in_large(address);
    (*words)[place.word] |= place.bits;
  }
  for (std::size_t i = 0; i < words->size(); ++i)
    __atomic_store_n(&large().words[i], (*words)[i], __ATOMIC_RELEASE);
  auto changed = change_runtime([&](sluice_runtime& runtime) {
    std::fill(std::begin(runtime.address_filter), std::end(runtime.address_filter), 0);
    for (const auto& address : known) add_to_small(runtime, address);
    runtime.large_filter = asks_large(known);
  });
  if (changed) known_ = std::move(known);
  return changed;
}

Result<void> AddressFilters::add(const IpAddress& address) {
  if (!known_.insert(address).second) return {};
  const auto place = place_in_large(address);
  __atomic_fetch_or(&large().words[place.word], place.bits, __ATOMIC_RELEASE);
  auto changed = change_runtime([&](sluice_runtime& runtime) {
    add_to_small(runtime, address);
    runtime.large_filter = asks_large(known_);
  });
  if (!changed) known_.erase(address);
  return changed;
}

Result<void> AddressFilters::raise_next_hop_generation() {
  return change_runtime([](sluice_runtime& runtime) { ++runtime.next_hop_generation; });
}

}  // namespace sluice::dataplane
