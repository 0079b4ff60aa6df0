// "did you mean": the known word that a mistyped one is closest to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

// Empty when nothing is close enough to be meant.
std::string nearest(std::string_view typed, const std::vector<std::string>& known);

}  // namespace sluice::ctl
