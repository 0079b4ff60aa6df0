#include "base/ip_address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(IpAddress, ALiteralOfEitherFamilyParses) {
  EXPECT_EQ(parse_ip_address("10.0.0.4").value().to_string(), "10.0.0.4");
  EXPECT_EQ(parse_ip_address("2001:db8:0::1").value().to_string(), "2001:db8::1");
}

TEST(IpAddress, AnythingElseIsRefusedWithTheText) {
  for (const auto* text : {"", "web1", "10.0.0", "10.0.0.256", "10.0.0.4/24", " 10.0.0.4"}) {
    const auto parsed = parse_ip_address(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::invalid);
    EXPECT_EQ(parsed.error().message, "'" + std::string(text) + "' is not an IP address");
  }
}

TEST(IpAddress, WireFormIsNetworkByteOrderAndComesBack) {
  const auto address = parse_ip_address("10.0.0.4").value();
  EXPECT_EQ(to_be32(address), htonl(0x0a000004));
  EXPECT_EQ(ipv4_from_be32(to_be32(address)), address);
}

}  // namespace
}  // namespace sluice
