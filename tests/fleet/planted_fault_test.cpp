// The simulation is worth what it finds. This program is built with a fault in the peers' code; one
// of the first seeds must find it, with this text in a line: SLUICE_FLEET_FOUND.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/fleet/traffic_seeds.hpp"

namespace sluice::fleet::test {
namespace {

TEST(PlantedFault, IsFound) {
  const auto* text = std::getenv("SLUICE_FLEET_FOUND");
  if (!text) GTEST_SKIP() << "SLUICE_FLEET_FOUND says what should be found";
  const auto seed = first_seed_that_finds(text);
  ASSERT_NE(seed, 0U) << "no seed finds:" << text;
  RecordProperty("seed", std::to_string(seed));
}

}  // namespace
}  // namespace sluice::fleet::test
