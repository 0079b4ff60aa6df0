// Files that nobody but their owner may read.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.hpp"

namespace sluice {

// The file's content; empty if there is no such file.
Result<std::string> read_secret_file(const std::filesystem::path& file);
// Replaces the file, all of it or nothing.
Result<void> write_secret_file(const std::filesystem::path& file, const std::string& text);

}  // namespace sluice
