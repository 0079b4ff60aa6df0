// Sluice's version, from CMakeLists.txt, and the revision that was built.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

extern const std::string_view version;  // "0.2.0"

// What --version says: "sluiced 0.2.0 (5248050f6e74)". A revision with local changes ends in a
// plus; without git there is none.
std::string version_of(std::string_view program);

}  // namespace sluice
