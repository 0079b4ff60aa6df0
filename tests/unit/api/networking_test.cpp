// Networks, subnets and ports of the Networking API, and VIPs that are taken from subnets.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class Networking : public ApiTest {
 protected:
  Networking() {
    declare({"private-subnet,network=private,cidr=10.0.0.0/24,range=10.0.0.16-10.0.0.18",
             "private-subnet6,network=private,cidr=2001:db8::/64",
             "public-subnet,network=public-net,cidr=172.24.4.0/24,external"});
    subnet_ = id_of("subnets", "private-subnet");
    network_ = id_of("networks", "private");
  }

  std::string id_of(const std::string& collection, const std::string& name) {
    return text(get("/v2.0/" + collection + "?name=" + name).json.at(collection).at(0).at("id"));
  }
  Answer balance(const std::string& attributes) {
    return post("/v2.0/lbaas/loadbalancers", R"({"loadbalancer": {)" + attributes + "}}");
  }
  std::string address_of(const Answer& answer) {
    if (answer.status != 201) return answer.fault();
    return text(answer["loadbalancer"].at("vip_address"));
  }
  static std::string attribute(const std::string& name, const std::string& value) {
    return '"' + name + R"(": ")" + value + '"';
  }

  std::string subnet_, network_;
};

TEST_F(Networking, a_vip_is_allocated_from_its_subnet) {
  const auto ask = [&] { return balance(attribute("vip_subnet_id", subnet_)); };
  auto answer = ask();
  EXPECT_EQ(address_of(answer), "10.0.0.16");
  EXPECT_EQ(text(answer["loadbalancer"].at("vip_subnet_id")), subnet_);
  EXPECT_EQ(text(answer["loadbalancer"].at("vip_network_id")), network_);
  EXPECT_EQ(address_of(ask()), "10.0.0.17");
  EXPECT_EQ(address_of(ask()), "10.0.0.18");
  answer = ask();
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.fault(), "No more IP addresses available on network " + network_ + ".");
}

TEST_F(Networking, additional_vips_are_allocated_from_other_subnets_of_the_same_network) {
  const auto subnet6 = id_of("subnets", "private-subnet6");
  const auto additional = [&](const std::string& vips) {
    return balance(attribute("vip_subnet_id", subnet_) + R"(, "additional_vips": [)" + vips + "]");
  };
  const auto made = additional("{" + attribute("subnet_id", subnet6) + "}");
  ASSERT_EQ(made.status, 201) << made.fault();
  const auto& vip = made["loadbalancer"].at("additional_vips").at(0);
  EXPECT_EQ(text(vip.at("ip_address")), "2001:db8::1");
  EXPECT_EQ(text(vip.at("subnet_id")), subnet6);
  const auto port = get("/v2.0/ports/" + text(made["loadbalancer"].at("vip_port_id")));
  EXPECT_EQ(text(port["port"].at("fixed_ips").at(1).at("ip_address")), "2001:db8::1");

  EXPECT_EQ(additional("{" + attribute("subnet_id", subnet_) + "}").fault(),
            "Validation failure: Duplicate VIP subnet(s) specified. Only one IP can be bound per "
            "subnet.");
  EXPECT_EQ(
      additional("{" + attribute("subnet_id", id_of("subnets", "public-subnet")) + "}").fault(),
      "Validation failure: All VIP subnets must belong to the same network.");
  EXPECT_EQ(additional("{" + attribute("ip_address", "2001:db8::2") + "}").status, 400);
  EXPECT_EQ(additional("{" + attribute("subnet_id", subnet6) + "," +
                       attribute("ip_address", "192.0.2.1") + "}")
                .fault(),
            "IP address 192.0.2.1 is not a valid IP for the specified subnet.");
}

TEST_F(Networking, an_address_that_is_free_again_is_given_again) {
  const auto first = balance(attribute("vip_subnet_id", subnet_));
  del("/v2.0/lbaas/loadbalancers/" + text(first["loadbalancer"].at("id")));
  EXPECT_EQ(address_of(balance(attribute("vip_subnet_id", subnet_))), "10.0.0.16");
}

TEST_F(Networking, a_network_gives_an_ipv4_address_before_an_ipv6_one) {
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(address_of(balance(attribute("vip_network_id", network_))),
              "10.0.0." + std::to_string(16 + i));
  }
  EXPECT_EQ(address_of(balance(attribute("vip_network_id", network_))), "2001:db8::1");
}

TEST_F(Networking, an_address_must_lie_in_the_subnet_but_not_in_the_range) {
  const auto in_subnet = attribute("vip_subnet_id", subnet_) + ", ";
  EXPECT_EQ(address_of(balance(in_subnet + attribute("vip_address", "10.0.0.99"))), "10.0.0.99");
  EXPECT_EQ(address_of(balance(in_subnet + attribute("vip_address", "10.0.1.1"))),
            "IP address 10.0.1.1 is not a valid IP for the specified subnet.");
  const auto in_network = attribute("vip_network_id", network_) + ", ";
  EXPECT_EQ(address_of(balance(in_network + attribute("vip_address", "2001:db8::99"))),
            "2001:db8::99");
  EXPECT_EQ(address_of(balance(in_network + attribute("vip_address", "192.0.2.1"))),
            "Validation failure: Supplied network does not contain a subnet for VIP address "
            "specified.");
}

TEST_F(Networking, a_bare_address_finds_its_subnet) {
  const auto answer = balance(attribute("vip_address", "10.0.0.16"));
  EXPECT_EQ(text(answer["loadbalancer"].at("vip_subnet_id")), subnet_);
  const auto foreign = balance(attribute("vip_address", "192.0.2.1"));
  EXPECT_TRUE(foreign["loadbalancer"].at("vip_subnet_id").is_null());
}

TEST_F(Networking, what_does_not_exist_is_the_requests_mistake) {
  const std::string none = "11111111-2222-4333-8444-555555555555";
  for (const auto& [name, kind] :
       {std::pair("vip_subnet_id", "Subnet"), std::pair("vip_network_id", "Network"),
        std::pair("vip_port_id", "Port")}) {
    const auto answer = balance(attribute(name, none));
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.fault(), std::string(kind) + " " + none + " not found.");
  }
  const auto other = id_of("subnets", "public-subnet");
  EXPECT_EQ(
      balance(attribute("vip_network_id", network_) + ", " + attribute("vip_subnet_id", other))
          .fault(),
      "Subnet " + other + " not found.");
}

TEST_F(Networking, a_members_subnet_is_a_remark) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto members = "/v2.0/lbaas/pools/" + pool + "/members";
  const auto member = [&](const std::string& subnet) {
    return R"({"member": {"address": "10.0.0.4", "protocol_port": 80, "subnet_id": ")" + subnet +
           R"("}})";
  };
  EXPECT_EQ(post(members, member("11111111-2222-4333-8444-555555555555")).status, 201)
      << "which only the members' own network knows";
  EXPECT_EQ(post(members, member("nonsense")).status, 400);
}

TEST_F(Networking, subnets_and_networks_are_shown_as_the_client_wants_them) {
  const auto subnet = get("/v2.0/subnets/" + subnet_);
  EXPECT_EQ(text(subnet["subnet"].at("network_id")), network_);
  EXPECT_EQ(subnet["subnet"].at("cidr"), "10.0.0.0/24");
  EXPECT_EQ(boost::json::serialize(subnet["subnet"].at("allocation_pools")),
            R"([{"start":"10.0.0.16","end":"10.0.0.18"}])");
  const auto external = get("/v2.0/networks?router:external=True");
  ASSERT_EQ(external.json.at("networks").as_array().size(), 1U);
  EXPECT_EQ(external.json.at("networks").at(0).at("name"), "public-net");
  EXPECT_EQ(get("/v2.0/networks").json.at("networks").as_array().size(), 2U);
  EXPECT_EQ(get("/v2.0/subnets/private-subnet").status, 404);
}

TEST_F(Networking, a_vips_port_names_its_address) {
  const auto load_balancer = balance(attribute("vip_subnet_id", subnet_));
  const auto id = text(load_balancer["loadbalancer"].at("vip_port_id"));
  const auto port = get("/v2.0/ports/" + id);
  EXPECT_EQ(port["port"].at("device_owner"), "Octavia");
  EXPECT_EQ(port["port"].at("fixed_ips").at(0).at("ip_address"), "10.0.0.16");
  EXPECT_EQ(get("/v2.0/ports?id=" + id).json.at("ports").as_array().size(), 1U);
}

}  // namespace
}  // namespace sluice::api
