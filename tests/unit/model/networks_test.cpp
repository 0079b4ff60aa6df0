#include "model/networks.hpp"

#include <gtest/gtest.h>

#include "model/edit.hpp"

namespace sluice::model {
namespace {

Networks declared(std::initializer_list<const char*> lines) {
  Networks networks;
  for (const auto* line : lines) {
    const auto done = networks.declare(line);
    EXPECT_TRUE(done) << done.error().text();
  }
  return networks;
}

std::string refusal(std::initializer_list<const char*> lines) {
  Networks networks;
  for (const auto* line : lines) {
    if (auto done = networks.declare(line); !done) return done.error().message;
  }
  return "accepted";
}

const Subnet& only_subnet(const Networks& networks) {
  return networks.all().at(0).subnets.at(0);
}

TEST(Networks, ASubnetIsDeclaredByOneLine) {
  const auto networks = declared(
      {"private-subnet,network=private,cidr=10.0.0.0/24,range=10.0.0.16-10.0.0.99,gateway=10.0.0.1",
       "other,network=private,cidr=2001:db8::/64,external"});
  ASSERT_EQ(networks.all().size(), 1U);
  const auto& network = networks.all()[0];
  EXPECT_EQ(network.name, "private");
  EXPECT_TRUE(network.external);
  ASSERT_EQ(network.subnets.size(), 2U);
  const auto& subnet = network.subnets[0];
  EXPECT_EQ(subnet.name, "private-subnet");
  EXPECT_EQ(subnet.cidr.to_string(), "10.0.0.0/24");
  EXPECT_EQ(subnet.first.to_string(), "10.0.0.16");
  EXPECT_EQ(subnet.last.to_string(), "10.0.0.99");
  EXPECT_EQ(subnet.gateway->to_string(), "10.0.0.1");
  EXPECT_EQ(networks.find_subnet(subnet.id), &subnet);
  EXPECT_EQ(networks.subnet_of(parse_ip_address("10.0.0.7").value()), &subnet);
}

TEST(Networks, IdsFollowFromNamesUnlessTheyAreGiven) {
  const auto one = declared({"a,cidr=10.0.0.0/24"}), two = declared({"a,cidr=10.1.0.0/24"});
  EXPECT_EQ(only_subnet(one).id, only_subnet(two).id);
  EXPECT_NE(only_subnet(one).id, only_subnet(one).network_id);
  const auto given = declared({"a,cidr=10.0.0.0/24,id=8d3c9f52-1c6a-4a53-9d4c-6b5e1b7f4a11"});
  EXPECT_EQ(to_string(only_subnet(given).id), "8d3c9f52-1c6a-4a53-9d4c-6b5e1b7f4a11");
}

TEST(Networks, WhatIsWrongInALineIsNamed) {
  EXPECT_EQ(refusal({""}), "subnet '': begins with the subnet's name");
  EXPECT_EQ(refusal({"cidr=10.0.0.0/8"}),
            "subnet 'cidr=10.0.0.0/8': begins with the subnet's name");
  EXPECT_EQ(refusal({"a"}), "subnet 'a': has no cidr");
  EXPECT_EQ(refusal({"a,cidr=x"}), "subnet 'a,cidr=x': cidr 'x' is not a network");
  EXPECT_EQ(refusal({"a,cidr=10.0.0.0/8,colour=red"}),
            "subnet 'a,cidr=10.0.0.0/8,colour=red': does not understand 'colour=red'");
  EXPECT_EQ(refusal({"a,cidr=10.0.0.0/24,range=10.0.0.9-10.0.0.8"}),
            "subnet 'a,cidr=10.0.0.0/24,range=10.0.0.9-10.0.0.8': range '10.0.0.9-10.0.0.8' is not "
            "FIRST-LAST within 10.0.0.0/24");
  EXPECT_EQ(refusal({"a,cidr=10.0.0.0/24", "b,cidr=10.0.0.128/25"}),
            "subnet 'b,cidr=10.0.0.128/25': overlaps a (10.0.0.0/24)");
  EXPECT_EQ(refusal({"a,cidr=10.0.0.0/24", "a,cidr=10.1.0.0/24"}),
            "subnet 'a,cidr=10.1.0.0/24': is declared two times");
}

class Allocation : public testing::Test {
 protected:
  // Allocates for a new load balancer; its address or the error.
  std::string next_vip(const Subnet& subnet) {
    const auto address = allocate_address(model, subnet);
    if (!address) return address.error().message;
    LoadBalancer object;
    object.vip_address = *address;
    EXPECT_TRUE(add(model, object, {}));
    return address->to_string();
  }
  Model model;
};

TEST_F(Allocation, TakesTheLowestFreeAddressUntilThereIsNone) {
  const auto networks = declared({"a,cidr=10.0.0.0/29,gateway=10.0.0.1"});
  const auto& subnet = only_subnet(networks);
  FloatingIp taken;
  taken.address = parse_ip_address("10.0.0.4").value();
  ASSERT_TRUE(add(model, taken, {}));
  EXPECT_EQ(next_vip(subnet), "10.0.0.2");
  EXPECT_EQ(next_vip(subnet), "10.0.0.3");
  EXPECT_EQ(next_vip(subnet), "10.0.0.5");
  EXPECT_EQ(next_vip(subnet), "10.0.0.6");
  EXPECT_EQ(next_vip(subnet),
            "No more IP addresses available on network " + to_string(subnet.network_id) + ".");
}

TEST_F(Allocation, StaysInItsRange) {
  const auto networks = declared({"a,cidr=2001:db8::/64,range=2001:db8::fffe-2001:db8::ffff"});
  EXPECT_EQ(next_vip(only_subnet(networks)), "2001:db8::fffe");
  EXPECT_EQ(next_vip(only_subnet(networks)), "2001:db8::ffff");
  EXPECT_FALSE(allocate_address(model, only_subnet(networks)));
}

}  // namespace
}  // namespace sluice::model
