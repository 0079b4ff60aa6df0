// Each member has a list of all slots in an order of its own: a permutation that its id alone
// decides. Members take turns at claiming the next slot of their list that is free, until none is.
// When a member leaves, the others' lists stay, so nearly all their slots do.
//
// Weights: if w is the largest weight, a member of weight v takes part in v of w rounds, spread
// evenly.
#include "balancing/maglev.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::balancing {
namespace {

// Both sizes are primes; the larger one is the highest below the longest ring that the data plane
// takes. There are only two, because a pool whose table changes its size moves most clients' next
// connections. The smaller table takes 32 KiB of kernel memory, so a thousand pools are no burden.
constexpr std::size_t small_table = 4093, large_table = 65521;
static_assert(large_table <= max_ring_slots);
constexpr std::size_t slots_per_member = 100;

// The finalizer of SplitMix64 (public domain).
std::uint64_t mix(std::uint64_t h) {
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
  return h ^ (h >> 31);
}

struct Claimant {
  std::size_t at = 0;  // the next slot of its permutation
  std::size_t step = 0;
  std::uint32_t weight = 0;
  std::uint32_t credit = 0;
};

Claimant claimant(const Share& share, std::size_t slots) {
  std::uint64_t halves[2];
  static_assert(sizeof halves == sizeof(Uuid));
  std::memcpy(halves, share.member.begin(), sizeof halves);
  const auto offset = mix(halves[0] + mix(halves[1]));
  const auto skip = mix(offset + 0x9e3779b97f4a7c15ULL);
  // The number of slots is prime, so any step but 0 visits all of them.
  return {offset % slots, skip % (slots - 1) + 1, share.weight, 0};
}

}  // namespace

std::size_t maglev_slots(std::size_t members) {
  return members * slots_per_member <= small_table ? small_table : large_table;
}

std::vector<Uuid> maglev_table(std::vector<Share> shares, std::size_t members) {
  std::erase_if(shares, [](const Share& share) { return share.weight == 0; });
  if (shares.empty()) return {};
  std::sort(shares.begin(), shares.end(),
            [](const Share& a, const Share& b) { return a.member < b.member; });
  const auto slots = maglev_slots(members);
  std::vector<Claimant> claimants;
  std::uint32_t heaviest = 0;
  for (const auto& share : shares) {
    claimants.push_back(claimant(share, slots));
    heaviest = std::max(heaviest, share.weight);
  }
  std::vector<Uuid> table(slots);
  std::vector<bool> taken(slots);
  for (std::size_t filled = 0; filled < slots;) {
    for (std::size_t i = 0; i < claimants.size() && filled < slots; ++i) {
      auto& one = claimants[i];
      one.credit += one.weight;
      if (one.credit < heaviest) continue;
      one.credit -= heaviest;
      while (taken[one.at]) one.at = (one.at + one.step) % slots;
      taken[one.at] = true;
      table[one.at] = shares[i].member;
      ++filled;
    }
  }
  return table;
}

}  // namespace sluice::balancing
