// Sluice's version, from CMakeLists.txt, and the revision that was built.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

extern const std::string_view version;   // "0.2.0"
extern const std::string_view revision;  // "5248050f6e74"; with local changes it ends in a plus

// What --version says: "sluiced 0.2.0 (5248050f6e74)". Without git there is no
// revision.
std::string version_of(std::string_view program);

}  // namespace sluice
