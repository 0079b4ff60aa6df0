#include "network/change_filter.hpp"

namespace sluice::network {

ChangeFilter::LinkChange ChangeFilter::link(std::uint32_t index, const LinkFacts& facts) {
  const auto [known, is_new] = links_.try_emplace(index, facts);
  if (is_new) return LinkChange::identity;
  const auto before = std::exchange(known->second, facts);
  if (before == facts) return LinkChange::none;
  const bool identity = before.mac != facts.mac || (facts.running && !before.running);
  return identity ? LinkChange::identity : LinkChange::next_hops;
}

bool ChangeFilter::link_gone(std::uint32_t index) {
  // The kernel will give the index to another link one day.
  std::erase_if(neighbors_,
                [index](const auto& neighbor) { return neighbor.first.first == index; });
  return links_.erase(index) > 0;
}

bool ChangeFilter::neighbor(std::uint32_t index, const IpAddress& address, const MacAddress& mac) {
  if (neighbors_.size() >= max_neighbors) neighbors_.clear();
  const auto [known, is_new] = neighbors_.try_emplace({index, address}, mac);
  return is_new || std::exchange(known->second, mac) != mac;
}

}  // namespace sluice::network
