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

Result<AllowedSources::ByListener> AllowedSources::by_listener() {
  known_.reset();
  const auto entries = map_.entries();
  if (!entries) return tl::unexpected(entries.error());
  ByListener result;
  for (const auto& [key, prefix] : *entries) result[key.listener].push_back(from_map(key));
  for (auto& [listener, networks] : result) std::sort(networks.begin(), networks.end(), before);
  known_ = result;
  return result;
}

Result<void> AllowedSources::add(std::uint32_t listener, const std::vector<IpNetwork>& networks) {
  for (const auto& network : networks) {
    const auto key = to_map(listener, network);
    if (auto put = map_.put(key, key.prefix_bits); !put) {
      known_.reset();
      return put;
    }
    if (!known_) continue;
    auto& own = (*known_)[listener];
    const auto place = std::lower_bound(own.begin(), own.end(), network, before);
    if (place == own.end() || *place != network) own.insert(place, network);
  }
  return {};
}

Result<void> AllowedSources::remove_others(std::uint32_t listener,
                                           const std::vector<IpNetwork>& kept) {
  if (!known_) {
    if (const auto read = by_listener(); !read) return tl::unexpected(read.error());
  }
  const auto own = known_->find(listener);
  if (own == known_->end()) return {};
  std::vector<IpNetwork> left;
  for (const auto& network : own->second) {
    if (std::find(kept.begin(), kept.end(), network) != kept.end()) {
      left.push_back(network);
      continue;
    }
    if (auto erased = map_.erase(to_map(listener, network)); !erased) {
      known_.reset();
      return tl::unexpected(erased.error());
    }
  }
  if (left.empty()) {
    known_->erase(own);
  } else {
    own->second = std::move(left);
  }
  return {};
}

// A lookup finds the longest prefix that is not longer than the one asked for, and each says how
// long it is.
Result<bool> AllowedSources::has(std::uint32_t listener,
                                 const std::vector<IpNetwork>& networks) const {
  for (const auto& network : networks) {
    const auto key = to_map(listener, network);
    const auto found = map_.lookup(key);
    if (!found) return tl::unexpected(found.error());
    if (found->value_or(0) != key.prefix_bits) return false;
  }
  return true;
}

}  // namespace sluice::dataplane
