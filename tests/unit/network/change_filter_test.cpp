#include "network/change_filter.hpp"

#include <gtest/gtest.h>

namespace sluice::network {
namespace {

using LinkChange = ChangeFilter::LinkChange;

constexpr std::uint32_t eth0 = 2, eth1 = 3;
const MacAddress mac_a = {2, 0, 0, 0, 0, 0xa};
const MacAddress mac_b = {2, 0, 0, 0, 0, 0xb};
const IpAddress router = boost::asio::ip::make_address("10.0.0.1");
const IpAddress web1 = boost::asio::ip::make_address("10.0.0.4");
const LinkFacts running = {.mac = mac_a, .running = true, .mtu = 1500, .master = 0};

// States don't reach the filter: for it, going round REACHABLE, STALE, DELAY, PROBE is the same
// call again.
TEST(ChangeFilter, ANeighborThatOnlyGoesRoundItsStatesIsNoChange) {
  ChangeFilter filter;
  EXPECT_TRUE(filter.neighbor(eth0, router, mac_a)) << "first seen";
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(filter.neighbor(eth0, router, mac_a));
}

TEST(ChangeFilter, ANeighborWithAnotherMacIsAChangeEachTime) {
  ChangeFilter filter;
  filter.neighbor(eth0, router, mac_a);
  EXPECT_TRUE(filter.neighbor(eth0, router, mac_b));
  EXPECT_FALSE(filter.neighbor(eth0, router, mac_b));
  EXPECT_TRUE(filter.neighbor(eth0, router, mac_a));
}

TEST(ChangeFilter, TheSameAddressOnAnotherLinkIsAnotherNeighbor) {
  ChangeFilter filter;
  filter.neighbor(eth0, web1, mac_a);
  EXPECT_TRUE(filter.neighbor(eth1, web1, mac_a));
  EXPECT_FALSE(filter.neighbor(eth0, web1, mac_a));
}

TEST(ChangeFilter, FarTooManyNeighborsAreForgottenWhichIsAChange) {
  ChangeFilter filter;
  filter.neighbor(eth0, router, mac_a);
  for (std::uint32_t i = 0; i < ChangeFilter::max_neighbors; ++i) {
    filter.neighbor(eth1, boost::asio::ip::address_v4(0x0a000000U + i), mac_a);
  }
  EXPECT_TRUE(filter.neighbor(eth0, router, mac_a));
}

TEST(ChangeFilter, ALinkToldOfAgainIsNoChange) {
  ChangeFilter filter;
  EXPECT_EQ(filter.link(eth0, running), LinkChange::identity) << "appeared";
  EXPECT_EQ(filter.link(eth0, running), LinkChange::none);
}

TEST(ChangeFilter, ALinksOtherMacMustBeAnnounced) {
  ChangeFilter filter;
  filter.link(eth0, running);
  auto facts = running;
  facts.mac = mac_b;
  EXPECT_EQ(filter.link(eth0, facts), LinkChange::identity);
}

TEST(ChangeFilter, ALinkThatGoesDownChangesNextHopsAndOneThatComesUpIsAnnouncedToo) {
  ChangeFilter filter;
  filter.link(eth0, running);
  auto facts = running;
  facts.running = false;
  EXPECT_EQ(filter.link(eth0, facts), LinkChange::next_hops);
  EXPECT_EQ(filter.link(eth0, running), LinkChange::identity);
}

TEST(ChangeFilter, MtuAndMasterChangeNextHopsOnly) {
  ChangeFilter filter;
  filter.link(eth0, running);
  auto facts = running;
  facts.mtu = 9000;
  EXPECT_EQ(filter.link(eth0, facts), LinkChange::next_hops);
  facts.master = 7;
  EXPECT_EQ(filter.link(eth0, facts), LinkChange::next_hops);
}

TEST(ChangeFilter, ALinkThatIsGoneTakesItsNeighborsAlong) {
  ChangeFilter filter;
  filter.link(eth0, running);
  filter.neighbor(eth0, web1, mac_a);
  EXPECT_TRUE(filter.link_gone(eth0));
  EXPECT_FALSE(filter.link_gone(eth0)) << "told of twice";
  EXPECT_TRUE(filter.neighbor(eth0, web1, mac_a)) << "another link with the old index";
}

}  // namespace
}  // namespace sluice::network
