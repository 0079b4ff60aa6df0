// Check answer: what the program of an EXTERNAL monitor has said. Pure.
//
// Exit status 0 means up, every other end means down. The first line of the output (standard output
// and standard error are one) is the reason that operators read; it may hold anything, so it is cut
// and made printable. A line `weight N%` means that the member takes N percent (0 to 100) of its
// configured weight, as HAProxy's agent-check does; without one it takes all of it.
#pragma once

#include <string_view>

#include "health/probe.hpp"

namespace sluice::health {

// So many bytes of a program's output are read at all. One that writes more is killed.
inline constexpr std::size_t most_check_output = 65536;
// So many are kept: its first lines.
inline constexpr std::size_t kept_check_output = 1024;
// So many of the first line are shown.
inline constexpr std::size_t longest_check_reason = 200;

// `status` is what waitpid() gives. `output` is what was kept.
ProbeResult judge_check(int status, std::string_view output);

}  // namespace sluice::health
