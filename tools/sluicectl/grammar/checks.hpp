// Checks of a command line beyond its syntax. The server judges ranges and meanings of values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

// What an option of Kind::ports names.
struct Ports {
  std::int64_t first = 0;
  std::optional<std::int64_t> last;  // of "FIRST-LAST"
};
// nullopt if the text is neither a number nor FIRST-LAST.
std::optional<Ports> ports_in(std::string_view text);

// Says as a sentence what is missing, contradictory or not a number; nullopt if nothing is.
std::optional<std::string> problem(const Invocation& invocation);

}  // namespace sluice::ctl
