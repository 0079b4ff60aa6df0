// The kernel's VLAN interfaces, in a network namespace of the test's own.
#include "network/vlans.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace sluice::network {
namespace {

class Vlans : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "making a network namespace needs root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(std::system("ip link add nic0 type veth peer name far0"), 0);
  }
};

TEST_F(Vlans, OrdinaryInterfacesAreNone) {
  const auto found = vlan_interfaces();
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(found->empty());
}

TEST_F(Vlans, AreFoundWithTheirTagsAndWhatIsBelow) {
  if (std::system("ip link add link nic0 name outer type vlan proto 802.1ad id 7 2>/dev/null") != 0)
    GTEST_SKIP() << "this kernel has no 802.1Q (module 8021q)";
  ASSERT_EQ(std::system("ip link add link outer name inner type vlan id 100"), 0);
  auto found = *vlan_interfaces();
  ASSERT_EQ(found.size(), 2U);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  EXPECT_EQ(found[0].name, "outer");
  EXPECT_EQ(found[0].index, if_nametoindex("outer"));
  EXPECT_EQ(found[0].parent, if_nametoindex("nic0"));
  EXPECT_EQ(found[0].id, 7);
  EXPECT_EQ(found[0].ethertype, 0x88a8);
  EXPECT_EQ(found[1].name, "inner");
  EXPECT_EQ(found[1].parent, if_nametoindex("outer"));
  EXPECT_EQ(found[1].id, 100);
  EXPECT_EQ(found[1].ethertype, 0x8100);
}

}  // namespace
}  // namespace sluice::network
