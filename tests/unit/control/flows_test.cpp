#include "control/flows.hpp"

#include <gtest/gtest.h>

#include "walkthrough.hpp"

namespace sluice::control {
namespace {

using test::ip;

TEST(Prefix, CountsBitsNotBytes) {
  EXPECT_TRUE(in_prefix(ip("10.0.7.255"), ip("10.0.4.0"), 22));
  EXPECT_FALSE(in_prefix(ip("10.0.8.0"), ip("10.0.4.0"), 22));
  EXPECT_TRUE(in_prefix(ip("192.0.2.1"), ip("10.0.0.0"), 0));
  EXPECT_TRUE(in_prefix(ip("10.0.0.1"), ip("10.0.0.1"), 32));
  EXPECT_FALSE(in_prefix(ip("10.0.0.2"), ip("10.0.0.1"), 32));
  EXPECT_TRUE(in_prefix(ip("2001:db8:1::1"), ip("2001:db8::"), 32));
  EXPECT_FALSE(in_prefix(ip("2001:db9::1"), ip("2001:db8::"), 32));
  EXPECT_FALSE(in_prefix(ip("::"), ip("0.0.0.0"), 0));
}

TEST(FlowFilter, IsTrueOfWhatFitsEverythingThatIsSet) {
  Flow flow;
  flow.client = {ip("192.0.2.7"), 50514};
  flow.listener_id = new_uuid();
  flow.member_id = new_uuid();
  EXPECT_TRUE(matches({}, flow));
  EXPECT_TRUE(matches({.listener = flow.listener_id, .member = flow.member_id}, flow));
  EXPECT_FALSE(matches({.listener = flow.listener_id, .member = new_uuid()}, flow));
  EXPECT_FALSE(matches({.pool = new_uuid()}, flow));
  EXPECT_TRUE(matches({.client = ip("192.0.2.0"), .client_prefix = 24}, flow));
  EXPECT_FALSE(matches({.client = ip("192.0.2.8")}, flow));
}

}  // namespace
}  // namespace sluice::control
