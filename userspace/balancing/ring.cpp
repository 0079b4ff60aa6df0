// The chairman assignment problem: every year one of several states provides the chairman, and each
// state must at any time have had its share of the years so far, as nearly as whole years allow.
// Tijdeman (1980) gave the order that is provably the most even: with n members, total weight T and
// D = 2n - 2, the (c+1)-th slot of a member of weight w
//
//   may be given from slot   ceil(T (cD + 1) / (wD))       on (slots count from 1)
//   falls due at             T ((c + 1) D - 1) / (wD)
//
// and each slot goes to the waiting turn with the earliest due time. The deviation from the exact
// share never exceeds 1 - 1/D. The familiar smooth weighted round robin of nginx gives the same
// order in the common cases (3:1:1 is A B A C A) but looks at every member for every slot; this
// takes O(slots * log members), which matters at 65,536 slots and with thousands of members in a
// pool.
#include "balancing/ring.hpp"

#include <algorithm>
#include <numeric>
#include <queue>

namespace sluice::balancing {
namespace {

std::uint64_t sum(const std::vector<std::uint64_t>& weights) {
  return std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
}

std::vector<std::uint64_t> reduced(const std::vector<Share>& shares) {
  std::vector<std::uint64_t> weights;
  std::uint64_t divisor = 0;
  for (const auto& share : shares) {
    weights.push_back(share.weight);
    divisor = std::gcd(divisor, share.weight);
  }
  for (auto& weight : weights) weight /= divisor;
  return weights;
}

std::vector<std::uint64_t> scaled(const std::vector<std::uint64_t>& weights, std::uint64_t slots) {
  const auto total = sum(weights);
  std::vector<std::uint64_t> result;
  for (const auto weight : weights) {
    result.push_back(std::max<std::uint64_t>(1, weight * slots / total));
  }
  return result;
}

// Scales the weights down to the largest sum that fits and keeps their proportions. Raising tiny
// weights to 1 takes slots too, so the scale is searched for rather than computed.
std::vector<std::uint64_t> fitted(std::vector<std::uint64_t> weights, std::uint64_t max_slots) {
  if (sum(weights) <= max_slots) return weights;
  std::uint64_t fits = 0, too_many = max_slots + 1;
  while (too_many - fits > 1) {
    const auto middle = fits + (too_many - fits) / 2;
    (sum(scaled(weights, middle)) <= max_slots ? fits : too_many) = middle;
  }
  return scaled(weights, fits);
}

// A member's next turn. T is common to all deadlines and left out.
struct Turn {
  std::uint64_t due;  // (c + 1) D - 1, to be divided by `weight`
  std::uint64_t weight;
  std::size_t member;

  // A priority_queue serves its largest element first, so the turn due last is the smallest.
  bool operator<(const Turn& other) const {
    const auto mine = due * other.weight, theirs = other.due * weight;
    return mine != theirs ? mine > theirs : member > other.member;
  }
};

// Returns the members' indices in the order of the slots. There are at least two members, and all
// weights are positive. Products stay below 2^50: slots, members and (fitted) weights are all at
// most 2^16.
std::vector<std::size_t> chairmen(const std::vector<std::uint64_t>& weights) {
  const std::uint64_t total = sum(weights);
  const std::uint64_t d = 2 * weights.size() - 2;
  std::vector<std::vector<std::size_t>> released(total + 1);  // by slot: whose turn begins to wait
  std::vector<std::uint64_t> turns(weights.size(), 0);
  const auto release = [&](std::size_t member, std::uint64_t not_before) {
    const auto c = turns[member];
    if (c == weights[member]) return;
    const auto divisor = weights[member] * d;
    const auto slot = (total * (c * d + 1) + divisor - 1) / divisor;
    released[std::max(slot, not_before)].push_back(member);
  };
  for (std::size_t member = 0; member < weights.size(); member++) release(member, 1);

  std::vector<std::size_t> order;
  order.reserve(total);
  std::priority_queue<Turn> waiting;
  for (std::uint64_t slot = 1; slot <= total; slot++) {
    for (const auto member : released[slot]) {
      waiting.push({(turns[member] + 1) * d - 1, weights[member], member});
    }
    const auto next = waiting.top().member;
    waiting.pop();
    order.push_back(next);
    turns[next]++;
    release(next, slot + 1);
  }
  return order;
}

}  // namespace

std::vector<Uuid> smooth_ring(const std::vector<Share>& shares, std::size_t max_slots) {
  std::vector<Share> serving;
  std::copy_if(shares.begin(), shares.end(), std::back_inserter(serving),
               [](const Share& share) { return share.weight > 0; });
  if (serving.empty()) return {};
  if (serving.size() == 1) return {serving.front().member};

  std::vector<Uuid> ring;
  for (const auto index : chairmen(fitted(reduced(serving), max_slots))) {
    ring.push_back(serving[index].member);
  }
  return ring;
}

}  // namespace sluice::balancing
