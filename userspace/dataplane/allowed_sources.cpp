#include "dataplane/allowed_sources.hpp"

#include <algorithm>
#include <tuple>

#include "dataplane/codec.hpp"

namespace sluice::dataplane {
namespace {

bool before(const IpNetwork& a, const IpNetwork& b) {
  return std::tie(a.address, a.prefix_length) < std::tie(b.address, b.prefix_length);
}

}  // namespace

Result<std::map<std::uint32_t, std::vector<IpNetwork>>> AllowedSources::by_listener() const {
  const auto entries = map_.entries();
  if (!entries) return tl::unexpected(entries.error());
  std::map<std::uint32_t, std::vector<IpNetwork>> result;
  for (const auto& [key, unused] : *entries) result[key.listener].push_back(from_map(key));
  for (auto& [listener, networks] : result) std::sort(networks.begin(), networks.end(), before);
  return result;
}

Result<void> AllowedSources::add(std::uint32_t listener,
                                 const std::vector<IpNetwork>& networks) const {
  for (const auto& network : networks) {
    if (auto put = map_.put(to_map(listener, network), 1); !put) return put;
  }
  return {};
}

Result<void> AllowedSources::remove_others(std::uint32_t listener,
                                           const std::vector<IpNetwork>& kept) const {
  const auto present = by_listener();
  if (!present) return tl::unexpected(present.error());
  const auto own = present->find(listener);
  if (own == present->end()) return {};
  for (const auto& network : own->second) {
    if (std::find(kept.begin(), kept.end(), network) != kept.end()) continue;
    if (auto erased = map_.erase(to_map(listener, network)); !erased) {
      return tl::unexpected(erased.error());
    }
  }
  return {};
}

}  // namespace sluice::dataplane
