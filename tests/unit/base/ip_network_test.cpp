#include "base/ip_network.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string canonical(const char* text) {
  const auto network = parse_ip_network(text);
  return network ? network->to_string() : "refused";
}

TEST(IpNetwork, IsCanonical) {
  EXPECT_EQ(canonical("10.1.2.3/8"), "10.0.0.0/8");
  EXPECT_EQ(canonical("10.1.2.3"), "10.1.2.3/32");
  EXPECT_EQ(canonical("10.1.2.3/0"), "0.0.0.0/0");
  EXPECT_EQ(canonical("192.0.2.255/25"), "192.0.2.128/25");
  EXPECT_EQ(canonical("2001:db8::1/33"), "2001:db8::/33");
  EXPECT_EQ(canonical("2001:db8::1"), "2001:db8::1/128");
}

TEST(IpNetwork, RefusesWhatIsNone) {
  for (const auto* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8 ",
                           "10.0.0.0/8/8", "2001:db8::/129", "fe80::1%1/64", "host/8"}) {
    EXPECT_EQ(canonical(text), "refused") << text;
  }
}

TEST(IpNetwork, ContainsItsOwnFamilyOnly) {
  const auto network = parse_ip_network("10.0.0.0/30").value();
  EXPECT_TRUE(network.contains(parse_ip_address("10.0.0.0").value()));
  EXPECT_TRUE(network.contains(parse_ip_address("10.0.0.3").value()));
  EXPECT_FALSE(network.contains(parse_ip_address("10.0.0.4").value()));
  EXPECT_FALSE(network.contains(parse_ip_address("::10.0.0.1").value()));
  EXPECT_EQ(network.last().to_string(), "10.0.0.3");
}

TEST(IpNetwork, AddressesCarryIntoTheNextByte) {
  EXPECT_EQ(next(parse_ip_address("10.0.0.255").value()).to_string(), "10.0.1.0");
  EXPECT_EQ(next(parse_ip_address("2001:db8::ffff").value()).to_string(), "2001:db8::1:0");
}

}  // namespace
}  // namespace sluice
