#include <gmock/gmock.h>
#include <linux/bpf.h>

#include <algorithm>

#include "kernel/program.hpp"
#include "maps/flow.h"
#include "maps/member.h"

namespace sluice::kernel {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const MapLayout expected{"members", BPF_MAP_TYPE_ARRAY, 4, 36, 16384, 0};

TEST(Layout, TheSameLayoutFits) {
  EXPECT_THAT(layout_difference(expected, expected), IsEmpty());
}

TEST(Layout, EachDifferenceIsNamedWithBothValues) {
  auto actual = expected;
  actual.value_size = 40;
  EXPECT_EQ(layout_difference(expected, actual), "its value size is 40, this build expects 36");
  actual = expected;
  actual.key_size = 8;
  EXPECT_EQ(layout_difference(expected, actual), "its key size is 8, this build expects 4");
  actual = expected;
  actual.max_entries = 1;
  EXPECT_EQ(layout_difference(expected, actual), "its capacity is 1, this build expects 16384");
  actual = expected;
  actual.type = BPF_MAP_TYPE_HASH;
  EXPECT_EQ(layout_difference(expected, actual), "its type is hash, this build expects array");
  actual = expected;
  actual.flags = BPF_F_MMAPABLE;
  EXPECT_THAT(layout_difference(expected, actual), HasSubstr("flags"));
}

TEST(Layout, TheFlowTableMayHaveAnySize) {
  auto any_size = expected;
  any_size.max_entries = 0;
  EXPECT_THAT(layout_difference(any_size, expected), IsEmpty());
}

TEST(Layout, TheBuildKnowsItsMapsFromItsOwnObject) {
  const auto layouts = compiled_map_layouts();
  ASSERT_TRUE(layouts) << layouts.error().text();
  const auto find = [&](std::string_view name) {
    return std::find_if(layouts->begin(), layouts->end(),
                        [&](const MapLayout& layout) { return layout.name == name; });
  };
  ASSERT_NE(find("members"), layouts->end());
  EXPECT_EQ(find("members")->value_size, sizeof(sluice_member));
  EXPECT_EQ(find("members")->max_entries, static_cast<std::uint32_t>(SLUICE_MAX_MEMBERS));
  ASSERT_NE(find("flows4"), layouts->end());
  EXPECT_EQ(find("flows4")->key_size, sizeof(std::uint32_t));
  EXPECT_EQ(find("flows4")->max_entries, 0U);
}

}  // namespace
}  // namespace sluice::kernel
