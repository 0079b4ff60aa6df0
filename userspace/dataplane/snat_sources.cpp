#include "dataplane/snat_sources.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "dataplane/codec.hpp"

namespace sluice::dataplane {
namespace {

sluice_snat_key key_of(std::uint32_t listener, bool ipv6) {
  return {listener, ipv6 ? 6U : 4U};
}

}  // namespace

Result<void> SnatSources::set(std::uint32_t listener, bool ipv6,
                              const std::vector<IpAddress>& addresses) const {
  const auto key = key_of(listener, ipv6);
  if (addresses.empty()) {
    const auto erased = map_.erase(key);
    return erased ? Result<void>() : tl::unexpected(erased.error());
  }
  if (addresses.size() > SLUICE_MAX_SNAT_SOURCES) {
    return fail(ErrorKind::conflict,
                fmt::format("map snat_sources has room for {} addresses of a listener",
                            SLUICE_MAX_SNAT_SOURCES));
  }
  sluice_snat_sources sources{};
  sources.count = static_cast<__u32>(addresses.size());
  std::ranges::transform(addresses, std::begin(sources.addresses),
                         [](const auto& address) { return to_map(address); });
  return map_.put(key, sources);
}

Result<std::vector<IpAddress>> SnatSources::get(std::uint32_t listener, bool ipv6) const {
  const auto found = map_.lookup(key_of(listener, ipv6));
  if (!found) return tl::unexpected(found.error());
  std::vector<IpAddress> addresses;
  if (!*found) return addresses;
  const auto count = std::min<std::size_t>((*found)->count, SLUICE_MAX_SNAT_SOURCES);
  for (std::size_t i = 0; i < count; ++i)
    addresses.push_back(from_map((*found)->addresses[i], ipv6));
  return addresses;
}

}  // namespace sluice::dataplane
