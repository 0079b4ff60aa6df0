// MacAddress: an Ethernet address as a value.
#pragma once

#include <array>
#include <cstdint>

namespace sluice::network {

using MacAddress = std::array<std::uint8_t, 6>;

}  // namespace sluice::network
