#include "fleet/spread.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace sluice::fleet {
namespace {

// FNV-1a, mixed as MurmurHash3 ends. It may not change: nodes of two releases must agree.
std::uint64_t rank(const std::string& node, const Uuid& member) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3; };
  for (const char character : node) add(static_cast<std::uint8_t>(character));
  add(0);
  for (const auto byte : member) add(byte);
  for (const std::uint64_t factor : {0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53})
    hash = (hash ^ hash >> 33) * factor;
  return hash ^ hash >> 33;
}

}  // namespace

std::vector<std::string> probers(const Uuid& member, const std::set<std::string>& nodes) {
  std::vector<std::string> chosen(nodes.begin(), nodes.end());
  if (chosen.size() <= probers_of_a_member) return chosen;
  std::vector<std::pair<std::uint64_t, std::string>> ranked;
  for (auto& node : chosen) ranked.emplace_back(rank(node, member), std::move(node));
  std::ranges::partial_sort(ranked, ranked.begin() + probers_of_a_member);
  chosen.clear();
  for (std::size_t i = 0; i < probers_of_a_member; i++)
    chosen.push_back(std::move(ranked[i].second));
  std::ranges::sort(chosen);
  return chosen;
}

}  // namespace sluice::fleet
