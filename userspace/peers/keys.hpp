// Keys: the secrets that the nodes of a fleet share. The file has one or two, 64 hexadecimal digits
// each on a line of its own; # begins a comment. What a node sends is sealed with the first; what
// it gets may be sealed with either, so a key is exchanged without a gap: first it is added behind
// the old one at all nodes, then put before it, and then the old one is removed.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::peers {

using Key = std::array<std::uint8_t, 32>;

// A line of such a file: a random key.
std::string new_key_text();

class Keys {
 public:
  static constexpr std::size_t most = 2;

  static Result<Keys> parse(std::string_view text);
  // Refuses a file that others than its owner may read or write.
  static Result<Keys> read(const std::filesystem::path& file);

  const Key& to_send() const { return keys_.front(); }
  const std::vector<Key>& all() const { return keys_; }
  bool operator==(const Keys&) const = default;

 private:
  std::vector<Key> keys_;  // never empty
};

}  // namespace sluice::peers
