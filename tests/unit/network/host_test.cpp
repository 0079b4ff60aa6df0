// The holder of an address as a host knows it, and where to ask for it.
#include "network/host.hpp"

#include <gtest/gtest.h>

namespace sluice::network {
namespace {

IpAddress ip(const char* text) {
  return parse_ip_address(text).value();
}

// eth0 is attached, with VLAN 3 on top of it; eth1 is not.
Host host() {
  const MacAddress mac{0x02, 0, 0, 0, 0, 0x09};
  return {.links = {{1, "lo", std::nullopt, 0},
                    {2, "eth0", mac, 0},
                    {3, "eth1", mac, 0},
                    {4, "eth0.3", mac, 2}},
          .addresses = {{ip("127.0.0.1"), *parse_ip_network("127.0.0.0/8"), 1},
                        {ip("10.0.0.9"), *parse_ip_network("10.0.0.0/24"), 2},
                        {ip("10.0.0.10"), *parse_ip_network("10.0.0.0/24"), 2},
                        {ip("2001:db8::9"), *parse_ip_network("2001:db8::/64"), 2},
                        {ip("10.0.1.9"), *parse_ip_network("10.0.1.0/24"), 3},
                        {ip("10.0.3.9"), *parse_ip_network("10.0.3.0/24"), 4}},
          .gateways = {{ip("10.0.0.1"), 2}, {ip("fe80::1"), 2}}};
}

TEST(HolderOnHost, IsTheHostItselfOrAGatewayOfItsRoutes) {
  EXPECT_EQ(holder_on(host(), ip("10.0.0.9")), "this host's own (eth0)");
  EXPECT_EQ(holder_on(host(), ip("10.0.1.9")), "this host's own (eth1)")
      << "not only attached NICs";
  EXPECT_EQ(holder_on(host(), ip("2001:db8::9")), "this host's own (eth0)");
  EXPECT_EQ(holder_on(host(), ip("127.0.0.1")), "this host's own (lo)");
  EXPECT_EQ(holder_on(host(), ip("10.0.0.1")), "the gateway of a route of this host (eth0)");
  EXPECT_EQ(holder_on(host(), ip("fe80::1")), "the gateway of a route of this host (eth0)");
  EXPECT_EQ(holder_on(host(), ip("10.0.0.16")), std::nullopt);
}

TEST(Questions, AreAskedOnceOnAttachedNicsWhoseSubnetHoldsTheAddress) {
  const auto asked = [](const char* address) {
    std::vector<std::pair<std::uint32_t, std::string>> where;
    for (const auto& question : questions(host(), {2}, ip(address)))
      where.emplace_back(question.interface_index, question.source.to_string());
    return where;
  };
  using Where = std::vector<std::pair<std::uint32_t, std::string>>;
  EXPECT_EQ(asked("10.0.0.16"), (Where{{2, "10.0.0.9"}}));
  EXPECT_EQ(asked("2001:db8::16"), (Where{{2, "2001:db8::9"}}));
  EXPECT_EQ(asked("10.0.3.16"), (Where{{4, "10.0.3.9"}})) << "a VLAN interface on top of one";
  EXPECT_EQ(asked("10.0.1.16"), Where{}) << "eth1 is not attached";
  EXPECT_EQ(asked("127.0.0.2"), Where{});
  EXPECT_EQ(asked("172.24.4.10"), Where{}) << "nobody is there to ask";
}

}  // namespace
}  // namespace sluice::network
