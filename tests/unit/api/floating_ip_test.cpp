// Floating IPs, in the Networking API's shape.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class FloatingIps : public ApiTest {
 protected:
  std::string port_of(const std::string& load_balancer) {
    return text(get("/v2/lbaas/loadbalancers/" + load_balancer)["loadbalancer"].at("vip_port_id"));
  }
  Answer post_address(const std::string& address, const std::string& port) {
    return post("/v2.0/floatingips", R"({"floatingip": {"floating_ip_address": ")" + address +
                                         R"(", "port_id": ")" + port + R"("}})");
  }

  const std::string load_balancer_ = create_load_balancer();
  const std::string port_ = port_of(load_balancer_);
};

TEST_F(FloatingIps, an_address_is_tied_to_a_vip_by_its_port) {
  auto answer = post_address("172.24.4.10", port_);
  ASSERT_EQ(answer.status, 201) << answer.response.body;
  const auto& shown = answer["floatingip"];
  EXPECT_EQ(shown.at("floating_ip_address"), "172.24.4.10");
  EXPECT_EQ(shown.at("fixed_ip_address"), "10.0.0.16");
  EXPECT_EQ(text(shown.at("port_id")), port_);
  EXPECT_EQ(shown.at("status"), "ACTIVE");
  EXPECT_EQ(shown.at("description"), "");
  EXPECT_EQ(shown.at("project_id"), shown.at("tenant_id"));
  EXPECT_EQ(data_plane_.read()->vips.size(), 2U);
}

TEST_F(FloatingIps, the_list_filters_by_address_port_and_id) {
  const auto id = text(post_address("172.24.4.10", port_)["floatingip"].at("id"));
  post_address("172.24.4.11", port_);
  const auto count = [&](const std::string& query) {
    return get("/v2.0/floatingips?" + query).json.at("floatingips").as_array().size();
  };
  EXPECT_EQ(count("floating_ip_address=172.24.4.11"), 1U);
  EXPECT_EQ(count("port_id=" + port_), 2U);
  EXPECT_EQ(count("id=" + id), 1U);
  EXPECT_EQ(count("floating_ip_address=172.24.4.99"), 0U);
}

TEST_F(FloatingIps, an_address_moves_to_another_load_balancer_and_goes) {
  const auto url =
      "/v2.0/floatingips/" + text(post_address("172.24.4.10", port_)["floatingip"].at("id"));
  const auto other = port_of(create_load_balancer("10.0.0.17", "other"));
  auto answer = put(url, R"({"floatingip": {"port_id": ")" + other + R"("}})");
  ASSERT_EQ(answer.status, 200) << answer.response.body;
  EXPECT_EQ(answer["floatingip"].at("fixed_ip_address"), "10.0.0.17");
  EXPECT_EQ(text(get(url)["floatingip"].at("port_id")), other);
  EXPECT_EQ(del(url).status, 204);
  EXPECT_EQ(get(url).status, 404);
}

TEST_F(FloatingIps, asking_for_an_address_instead_of_an_id_is_not_found) {
  post_address("172.24.4.10", port_);
  EXPECT_EQ(get("/v2.0/floatingips/172.24.4.10").status, 404);
}

TEST_F(FloatingIps, a_port_of_nothing_is_not_found) {
  auto answer = post_address("172.24.4.10", "11111111-2222-4333-8444-555555555555");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.fault(),
            "Port 11111111-2222-4333-8444-555555555555 could not be found. (pass the vip_port_id "
            "of a load balancer)");
}

TEST_F(FloatingIps, an_address_or_a_network_must_be_given) {
  auto answer = post("/v2.0/floatingips", R"({"floatingip": {"port_id": ")" + port_ + R"("}})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.fault().find("floating_network_id. Value: 'None'. Mandatory field missing."),
            std::string::npos);
  EXPECT_EQ(post_address("172.24.4.300", port_).status, 400);
}

TEST_F(FloatingIps, an_address_that_is_in_use_is_a_conflict) {
  ASSERT_EQ(post_address("172.24.4.10", port_).status, 201);
  EXPECT_EQ(post_address("172.24.4.10", port_).status, 409);
  EXPECT_EQ(post_address("10.0.0.16", port_).status, 409);
}

TEST_F(FloatingIps, an_address_can_be_untied_and_tied_again) {
  const auto url =
      "/v2.0/floatingips/" + text(post_address("172.24.4.10", port_)["floatingip"].at("id"));
  auto answer = put(url, R"({"floatingip": {"port_id": null}})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer["floatingip"].at("port_id").is_null());
  EXPECT_TRUE(answer["floatingip"].at("fixed_ip_address").is_null());
  EXPECT_EQ(answer["floatingip"].at("status"), "DOWN");
  EXPECT_EQ(data_plane_.state.vips.size(), 1U) << "the address is reserved and does nothing";
  put(url, R"({"floatingip": {"port_id": ")" + port_ + R"("}})");
  EXPECT_EQ(get(url)["floatingip"].at("status"), "ACTIVE");
  EXPECT_EQ(data_plane_.state.vips.size(), 2U);
}

TEST_F(FloatingIps, an_address_is_allocated_from_an_external_network) {
  declare({"public,network=public-net,cidr=172.24.4.0/24,range=172.24.4.10-172.24.4.11,external",
           "private,cidr=10.0.0.0/24"});
  const auto network = [&](const std::string& name) {
    return text(get("/v2.0/networks?name=" + name).json.at("networks").at(0).at("id"));
  };
  const auto ask = [&](const std::string& id) {
    return post("/v2.0/floatingips", R"({"floatingip": {"floating_network_id": ")" + id + R"("}})");
  };
  const auto first = ask(network("public-net"));
  ASSERT_EQ(first.status, 201) << first.response.body;
  EXPECT_EQ(first["floatingip"].at("floating_ip_address"), "172.24.4.10");
  EXPECT_EQ(text(first["floatingip"].at("floating_network_id")), network("public-net"));
  EXPECT_EQ(ask(network("public-net"))["floatingip"].at("floating_ip_address"), "172.24.4.11");
  EXPECT_EQ(ask(network("public-net")).status, 409) << "the range is used up";
  EXPECT_EQ(ask(network("private")).status, 400) << "it is not external";
  EXPECT_EQ(ask("11111111-2222-4333-8444-555555555555").status, 404);
}

}  // namespace
}  // namespace sluice::api
