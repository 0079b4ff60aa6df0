// Captures: single packets that a data plane reports on request.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip_network.hpp"

namespace sluice::control {

// Selects packets that match everything that is set. Addresses and ports are those of the packet as
// it came in.
struct CaptureFilter {
  std::optional<IpNetwork> network = {};  // has one of its addresses
  std::uint16_t port = 0;                 // is one of its ports; 0: any
  std::vector<std::string> reasons = {};  // labels ("no_listener") or verdicts ("drop"); none: all
  std::uint32_t every = 1;                // one in so many of those, on each CPU
  std::uint16_t bytes = 256;              // of each frame, at most; up to longest_captured_frame
};
inline constexpr std::uint16_t longest_captured_frame = 2048;

// One frame. A packet that leaves has two in a row, of which the first is as it came in.
struct CapturedFrame {
  std::chrono::system_clock::time_point time;  // when it came in
  std::string interface;                       // where it came in or leaves
  bool departure = false;                      // as it leaves
  std::string reason, verdict;                 // as in ReasonCount
  std::uint32_t length = 0;                    // of the frame; `bytes` may be shorter
  std::vector<std::uint8_t> bytes;
};

struct Captured {
  std::vector<CapturedFrame> frames;
  bool more = false;       // there are more by now
  std::uint64_t lost = 0;  // frames since the beginning for which there was no room
};

}  // namespace sluice::control
