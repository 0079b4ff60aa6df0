// The announcements of VIPs as the kernel has them, in a network namespace of the test's own.
#include "network/routes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>

namespace sluice::network {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

IpAddress address(const char* text) {
  return *parse_ip_address(text);
}

int shell(const std::string& command) {
  return std::system(command.c_str());
}

// Says whether `ip` (with "-4" or "-6") shows a route of exactly these words.
bool kernel_shows(const std::string& family, const std::string& table, const std::string& line) {
  return shell("ip " + family + " route show table " + table +
               " 2>/dev/null | sed 's/ *$//; s/  */ /g' | grep -qxF '" + line + "'") == 0;
}

class RoutesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "making a network namespace needs root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(shell("ip link set lo up"), 0);
    routes_.emplace(std::move(*Routes::open()));
  }

  Routes::Found found() {
    auto read = routes_->read();
    if (!read) throw std::runtime_error(read.error().text());
    return *read;
  }
  void make_equal(const Announcements& wanted) {
    for (const auto& step : steps(wanted, found())) {
      const auto done =
          step.add ? routes_->add(step.announcement) : routes_->remove(step.announcement);
      ASSERT_TRUE(done) << done.error().text();
    }
  }

  std::optional<Routes> routes_;
};

TEST_F(RoutesTest, ANewHostHasNone) {
  EXPECT_THAT(found().sound, IsEmpty());
  EXPECT_THAT(found().strange, IsEmpty());
}

TEST_F(RoutesTest, VipsOfBothFamiliesAreInATableOfTheirOwnWithAnExplicitMetric) {
  make_equal(
      announcements({address("198.51.100.16"), address("2001:db8:f::16")}, normal_metric, false));
  EXPECT_TRUE(kernel_shows("-4", "142", "198.51.100.16 dev lo proto 142 scope link metric 100"));
  EXPECT_TRUE(kernel_shows("-6", "142", "2001:db8:f::16 dev lo proto 142 metric 100 pref medium"));
  EXPECT_EQ(shell("ip route show table main | grep -q 142"), 256) << "the host's own is untouched";
  EXPECT_EQ(found().sound.size(), 2U);
}

TEST_F(RoutesTest, ForFrrIpv6IsInTheMainTableTooWhereItIsWorseThanAnyOther) {
  make_equal(
      announcements({address("198.51.100.16"), address("2001:db8:f::16")}, draining_metric, true));
  EXPECT_TRUE(kernel_shows("-6", "main",
                           "unreachable 2001:db8:f::16 dev lo proto 142 metric 6000 pref medium"));
  EXPECT_EQ(found().sound.size(), 3U);
  make_equal({});
  EXPECT_THAT(found().sound, IsEmpty());
}

TEST_F(RoutesTest, AForeignDeletionAndLeftoversAreMended) {
  const auto wanted =
      announcements({address("198.51.100.16"), address("2001:db8:f::16")}, normal_metric, false);
  make_equal(wanted);
  ASSERT_EQ(shell("ip route del 198.51.100.16 table 142"), 0);
  ASSERT_EQ(shell("ip route add 198.51.100.99 dev lo proto 142 metric 100 table 142"), 0);
  ASSERT_EQ(shell("ip route add 2001:db8:f::99 dev lo proto 142 metric 7 table 142"), 0);
  make_equal(wanted);
  EXPECT_EQ(found().sound, wanted);
}

TEST_F(RoutesTest, WhatHasOurNumberButNotOurShapeIsReplaced) {
  ASSERT_EQ(shell("ip route add unreachable 198.51.100.16 proto 142 metric 100 table 142"), 0);
  ASSERT_EQ(shell("ip route add 192.0.2.0/24 dev lo proto 142 table 142"), 0);
  ASSERT_EQ(shell("ip route add default dev lo proto 142 table 142"), 0);
  ASSERT_EQ(shell("ip route add 2001:db8:f::/64 dev lo proto 142 metric 5 table main"), 0);
  EXPECT_EQ(found().strange.size(), 4U);
  const auto wanted = announcements({address("198.51.100.16")}, normal_metric, false);
  make_equal(wanted);
  EXPECT_EQ(found().sound, wanted);
  EXPECT_THAT(found().strange, IsEmpty());
}

TEST_F(RoutesTest, RoutesOfOthersAreLeftAlone) {
  ASSERT_EQ(shell("ip route add 192.0.2.7 dev lo proto 98 table 142"), 0);
  ASSERT_EQ(shell("ip route add 192.0.2.8 dev lo proto 142 table 77"), 0);
  make_equal(announcements({address("198.51.100.16")}, normal_metric, false));
  const auto gone = withdraw_announcements();
  ASSERT_TRUE(gone) << gone.error().text();
  EXPECT_EQ(*gone, 1U);
  EXPECT_TRUE(kernel_shows("-4", "142", "192.0.2.7 dev lo proto 98 scope link"));
  EXPECT_TRUE(kernel_shows("-4", "77", "192.0.2.8 dev lo proto 142 scope link"));
}

TEST(RouteSteps, AVipWithAnotherMetricIsNeverLongWithoutARoute) {
  const std::vector vips{address("198.51.100.16"), address("198.51.100.17"),
                         address("2001:db8:f::16")};
  const auto before = announcements(vips, normal_metric, false);
  const auto after = announcements(vips, draining_metric, false);
  const auto of = [&](int vip, std::uint32_t metric) {
    const auto& chosen = vips[static_cast<std::size_t>(vip)];
    return Announcement{{chosen, chosen.is_v4() ? 32U : 128U}, metric, false};
  };
  EXPECT_THAT(
      steps(after, {.sound = before, .strange = {}}),
      ElementsAre(RouteStep{false, of(0, normal_metric)}, RouteStep{true, of(0, draining_metric)},
                  RouteStep{false, of(1, normal_metric)}, RouteStep{true, of(1, draining_metric)},
                  RouteStep{true, of(2, draining_metric)}, RouteStep{false, of(2, normal_metric)}));
}

TEST(RouteSteps, WhatIsThereCostsNothing) {
  const auto wanted = announcements({address("198.51.100.16")}, normal_metric, true);
  EXPECT_THAT(steps(wanted, {.sound = wanted, .strange = {}}), IsEmpty());
}

}  // namespace
}  // namespace sluice::network
