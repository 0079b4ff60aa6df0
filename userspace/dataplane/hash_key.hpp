// The key of the hash that chooses members, and the file that keeps it: 32 hexadecimal digits.
//
// The file outlives restarts, so that clients keep their members; load balancers that shall choose
// alike have a copy of the same one.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.hpp"
#include "maps/hash_key.h"

namespace sluice::dataplane {

// ErrorKind::invalid unless it is 32 hexadecimal digits, white space around them.
Result<sluice_hash_key> parse_hash_key(std::string_view text);

// A file that is not there is made, of a random key, for its owner only.
Result<sluice_hash_key> read_or_make_hash_key(const std::filesystem::path& file);

}  // namespace sluice::dataplane
