// "did you mean": the known word that a mistyped one is closest to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::ctl {

// The nearest known word; empty if none is near enough.
std::string nearest(std::string_view typed, const std::vector<std::string>& known);

}  // namespace sluice::ctl
