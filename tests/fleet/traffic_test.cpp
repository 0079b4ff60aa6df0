// Connections survive nodes, whatever the network between these does.
//
// SLUICE_FLEET_SEED=N runs one seed, SLUICE_FLEET_SEEDS=N so many, SLUICE_FLEET_LIFE=MS each for so
// long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fleet/traffic_seeds.hpp"

namespace sluice::fleet::test {
namespace {

using testing::IsEmpty;

TEST(FleetTraffic, NoConnectionIsLostWithANodeAndNoneIsLeftBehind) {
  const auto only = number_from("SLUICE_FLEET_SEED", 0);
  const auto first = only != 0 ? only : 1;
  const auto last = only != 0 ? only : number_from("SLUICE_FLEET_SEEDS", 1000);
  for (auto seed = first; seed <= last; seed++) {
    ASSERT_THAT(run_traffic(seed), IsEmpty()) << "SLUICE_FLEET_SEED=" << seed;
  }
}

// Faults of the data plane; those of the peers' code are in programs of their own (CMakeLists.txt).
struct Planted {
  TableFault fault;
  const char* name;
  const char* found;
};

class PlantedTableFault : public testing::TestWithParam<Planted> {};

TEST_P(PlantedTableFault, IsFound) {
  EXPECT_NE(first_seed_that_finds(GetParam().found, GetParam().fault), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Fleet, PlantedTableFault,
    testing::Values(Planted{TableFault::tells_no_refresh, "tells_no_refresh", " lacks connection "},
                    Planted{TableFault::hides_losses, "hides_losses", " lacks connection "}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace sluice::fleet::test
