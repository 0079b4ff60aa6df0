#include "fleet/rendezvous.hpp"

namespace sluice::fleet {

// FNV-1a, mixed as MurmurHash3 ends.
std::uint64_t rank(std::string_view node, std::string_view subject) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](char character) {
    hash = (hash ^ static_cast<std::uint8_t>(character)) * 0x100000001b3;
  };
  for (const char character : node) add(character);
  add(0);
  for (const char character : subject) add(character);
  for (const std::uint64_t factor : {0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53})
    hash = (hash ^ hash >> 33) * factor;
  return hash ^ hash >> 33;
}

}  // namespace sluice::fleet
