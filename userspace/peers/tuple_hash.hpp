// Hashes of a connection, by which its changes find each other. Seeded, so that nobody can choose
// connections that are taken for each other. Pure.
#pragma once

#include <cstdint>

#include "maps/flow_image.h"

namespace sluice::peers {

// 64 bits: of a million connections two have the same one once in 10^7 cases.
inline std::uint64_t hash_of(std::uint64_t seed, const sluice_address& one, __be16 one_port,
                             const sluice_address& other, __be16 other_port,
                             const sluice_flow_image& image) {
  __extension__ using Product = unsigned __int128;
  const auto mix = [](std::uint64_t hash, std::uint64_t word) {
    const auto product = static_cast<Product>(hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  const auto rest = std::uint64_t{one_port} << 32 | std::uint64_t{other_port} << 16 |
                    std::uint64_t{image.protocol} << 8 | image.family;
  auto hash = mix(seed, rest);
  for (const auto half : one.halves) hash = mix(hash + seed, half);
  for (const auto half : other.halves) hash = mix(hash + seed, half);
  return hash;
}

inline std::uint64_t tuple_hash(const sluice_flow_image& image, std::uint64_t seed) {
  return hash_of(seed, image.client, image.client_port, image.vip, image.vip_port, image);
}

// Of what the member sees. Two connections can't have one at a time.
inline std::uint64_t member_side_hash(const sluice_flow_image& image, std::uint64_t seed) {
  return hash_of(~seed, image.source, image.source_port, image.member, image.member_port, image);
}

}  // namespace sluice::peers
