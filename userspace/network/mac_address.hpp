// MacAddress: an Ethernet address as a value.
#pragma once

#include <array>
#include <cstdint>

namespace sluice::network {

using MacAddress = std::array<std::uint8_t, 6>;

constexpr MacAddress broadcast_mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

}  // namespace sluice::network
