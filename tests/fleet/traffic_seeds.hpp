// A run of the simulation of connections for each seed.
//
// SLUICE_FLEET_LIFE=MS: each lasts so long before all is well again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fleet/model_table.hpp"

namespace sluice::fleet::test {

// What is wrong, a line each.
std::vector<std::string> run_traffic(std::uint64_t seed, TableFault fault = TableFault::none);

// The first of some hundred seeds in which a line has this text; 0: none.
std::uint64_t first_seed_that_finds(std::string_view text, TableFault fault = TableFault::none);

// The number in an environment variable.
std::uint64_t number_from(const char* variable, std::uint64_t otherwise);

}  // namespace sluice::fleet::test
