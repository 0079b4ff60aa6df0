#include "kernel/versions.hpp"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "kernel/program.hpp"
#include "maps/versions.h"

namespace sluice::kernel {
namespace {

using ::testing::UnorderedElementsAreArray;

#define SLUICE_MAP_NAME(name, version, oldest) #name,
const std::vector<std::string> listed{SLUICE_MAPS(SLUICE_MAP_NAME)};
#undef SLUICE_MAP_NAME

// A map that is not listed would have no version, and a listed one that is gone would be reported
// missing.
TEST(Versions, EveryMapOfTheContractIsListedOnce) {
  const auto layouts = compiled_map_layouts();
  ASSERT_TRUE(layouts) << layouts.error().text();
  std::vector<std::string> compiled;
  for (const auto& layout : *layouts) compiled.push_back(layout.name);
  EXPECT_THAT(listed, UnorderedElementsAreArray(compiled));
}

// These numbers are in pinned maps of data planes that run: a map that moves in the list breaks it.
TEST(Versions, AMapKeepsItsPlace) {
  EXPECT_EQ(versions_of("vips4")->index, 0U);
  EXPECT_EQ(versions_of("members")->index, 10U);
  EXPECT_EQ(versions_of("hash_key")->index, 30U);
  EXPECT_EQ(versions_of("map_versions")->index, 33U);
  EXPECT_EQ(versions_of("nobody"), nullptr);
}

// Data planes that were loaded before these maps existed are adopted; all other maps must be there.
TEST(Versions, OnlyWhatCameLaterMayBeMissing) {
  std::vector<std::string> later;
  for (const auto& map : listed) {
    if (versions_of(map)->may_be_missing()) later.push_back(map);
  }
  EXPECT_THAT(later, UnorderedElementsAreArray({"member_handshakes",
                                                "member_failures",
                                                "suspicions",
                                                "store_position",
                                                "listener_half_open",
                                                "member_half_open",
                                                "hash_key",
                                                "map_versions",
                                                "later_reason_counters",
                                                "member_silences",
                                                "listener_idle",
                                                "proof_numbers",
                                                "address_filter",
                                                "flow_areas",
                                                "listener_confirmed",
                                                "proven_sources",
                                                "records",
                                                "listener_records",
                                                "record_losses",
                                                "record_handshakes",
                                                "member_confirmed",
                                                "proxy_pending",
                                                "listener_ranges",
                                                "fleet",
                                                "flow_changes",
                                                "flow_change_losses",
                                                "tunnel_sources",
                                                "snat_sources",
                                                "snat_vips",
                                                "syn_answers",
                                                "member_drains",
                                                "listener_banks",
                                                "member_load_balancers"}));
}

// A data plane that an earlier version has attached keeps its smaller maps.
TEST(Versions, EarlierCapacitiesAreUsedAndNoOthers) {
  EXPECT_TRUE(had_capacity("vips4", 4096));
  EXPECT_TRUE(had_capacity("listener_counters", 4096));
  EXPECT_TRUE(had_capacity("listeners6", 16384));
  EXPECT_FALSE(had_capacity("listeners6", 4096));
  EXPECT_FALSE(had_capacity("members", 4096));
  const auto layouts = compiled_map_layouts();
  ASSERT_TRUE(layouts) << layouts.error().text();
  for (const auto& layout : *layouts) {
    EXPECT_FALSE(had_capacity(layout.name, layout.max_entries)) << layout.name;
  }
}

TEST(Versions, WithoutAMapOfVersionsAllAreTheFirst) {
  for (const auto& map : listed) EXPECT_TRUE(PinnedVersions(-1).require_readable(map)) << map;
}

}  // namespace
}  // namespace sluice::kernel
