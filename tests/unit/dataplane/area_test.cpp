// The area of a flow table, chosen for the load.
#include "dataplane/area.hpp"

#include <gtest/gtest.h>

#include "maps/flow.h"

namespace sluice::dataplane {
namespace {

constexpr std::uint32_t default_homes = SLUICE_FLOW_HOMES4(SLUICE_DEFAULT_FLOWS);

TableLoad ipv4(std::uint64_t connections, std::uint32_t homes = default_homes) {
  return {homes, SLUICE_BUCKET_SLOTS4, connections};
}

std::uint64_t homes_for(const TableLoad& load) {
  return sluice_area_homes(load.homes, fitting_area(load));
}

TEST(Area, OfAnEmptyTableIsTheSmallest) {
  EXPECT_EQ(homes_for(ipv4(0)), SLUICE_SMALLEST_AREA);
}

TEST(Area, Of16ThousandFlowsTakesFourMebibytes) {
  EXPECT_EQ(homes_for(ipv4(16'384)) * sizeof(sluice_bucket4), 4U << 20);
}

TEST(Area, OfIpv6FlowsIsAsLargeInSlots) {
  EXPECT_EQ(homes_for({default_homes, SLUICE_BUCKET_SLOTS6, 16'384}), 2 * homes_for(ipv4(16'384)));
}

TEST(Area, OfAFullTableIsTheWholeTable) {
  EXPECT_EQ(fitting_area(ipv4(SLUICE_DEFAULT_FLOWS)), 0U);
  EXPECT_FALSE(is_crowded(ipv4(SLUICE_DEFAULT_FLOWS), 0));
}

TEST(Area, OfATableThatIsSmallerThanTheSmallestIsTheWholeTable) {
  EXPECT_EQ(fitting_area(ipv4(0, 427)), 0U);
}

// Else it would be changed at every sweep.
TEST(Area, ThatFitsIsNeitherCrowdedNorTooLarge) {
  for (std::uint64_t connections = 1; connections < SLUICE_DEFAULT_FLOWS; connections += 997) {
    const auto shift = fitting_area(ipv4(connections));
    EXPECT_FALSE(is_crowded(ipv4(connections), shift)) << connections;
    EXPECT_EQ(fitting_area(ipv4(connections)), shift);
  }
}

TEST(Area, IsCrowdedBeforeSearchesGetLong) {
  const auto shift = fitting_area(ipv4(16'384));
  EXPECT_FALSE(is_crowded(ipv4(20'000), shift));
  EXPECT_TRUE(is_crowded(ipv4(24'000), shift));
}

// A flow's home in an area is where its home in the whole table says, so that a flow finds its
// bucket again whatever the area was.
TEST(Area, HomesOfAnAreaAreThoseOfTheWholeTableModuloItsSize) {
  EXPECT_EQ(sluice_area_home(1'234'567, SLUICE_AREA_SHIFT_OF(10)), 1'234'567U % 1024);
  EXPECT_EQ(sluice_area_home(1'234'567, 0), 1'234'567U);
  EXPECT_EQ(sluice_area_homes(default_homes, SLUICE_AREA_SHIFT_OF(10)), 1024U);
  EXPECT_EQ(sluice_area_homes(default_homes, 0), default_homes);
  EXPECT_EQ(sluice_area_homes(427, SLUICE_AREA_SHIFT_OF(10)), 427U);
}

}  // namespace
}  // namespace sluice::dataplane
