// Hash key: the key of the hash that chooses members, and its file: 32 hexadecimal digits.
//
// The file outlives restarts, so that clients keep their members. Load balancers that must choose
// alike have copies of the same file.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.hpp"
#include "maps/hash_key.h"

namespace sluice::dataplane {

// Parses 32 hexadecimal digits with white space around them; otherwise ErrorKind::invalid.
Result<sluice_hash_key> parse_hash_key(std::string_view text);

// Reads the file; a missing one is created with a random key, for its owner only.
Result<sluice_hash_key> read_or_make_hash_key(const std::filesystem::path& file);

}  // namespace sluice::dataplane
