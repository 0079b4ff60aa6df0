#include "fleet/spread.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "fleet/rendezvous.hpp"

namespace sluice::fleet {

std::vector<std::string> probers(const Uuid& member, const std::set<std::string>& nodes) {
  std::vector<std::string> chosen(nodes.begin(), nodes.end());
  if (chosen.size() <= probers_of_a_member) return chosen;
  std::vector<std::pair<std::uint64_t, std::string>> ranked;
  const std::string_view subject(reinterpret_cast<const char*>(member.data), member.size());
  for (auto& node : chosen) ranked.emplace_back(rank(node, subject), std::move(node));
  std::ranges::partial_sort(ranked, ranked.begin() + probers_of_a_member);
  chosen.clear();
  for (std::size_t i = 0; i < probers_of_a_member; i++)
    chosen.push_back(std::move(ranked[i].second));
  std::ranges::sort(chosen);
  return chosen;
}

}  // namespace sluice::fleet
