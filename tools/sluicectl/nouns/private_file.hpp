// Files that a verb writes for its user only.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::ctl {

// Writes the file (mode 0600) completely or not at all: an older one stays until the new one is on
// the disk.
Result<void> write_private_file(const std::string& path, std::string_view bytes);

}  // namespace sluice::ctl
