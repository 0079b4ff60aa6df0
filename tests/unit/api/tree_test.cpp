// The fully populated load balancer: created by one request, all or nothing, removed by cascade and
// retried by failover.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class Tree : public ApiTest {
 protected:
  Answer populate(const std::string& children) {
    return post(
        "/v2/lbaas/loadbalancers",
        R"({"loadbalancer": {"name": "full", "vip_address": "10.0.0.16", )" + children + "}}");
  }
  std::string fault(const std::string& children) {
    const auto before = controller().model();
    const auto answer = populate(children);
    EXPECT_EQ(controller().model(), before);
    return std::to_string(answer.status) + " " + answer.fault();
  }
};

constexpr auto web = R"(
  "listeners": [{
    "name": "80_listener", "protocol": "HTTP", "protocol_port": 80,
    "default_pool": {
      "name": "80_pool", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
      "members": [{"address": "10.0.0.4", "protocol_port": 80},
                  {"address": "10.0.0.6", "protocol_port": 80, "weight": 2}],
      "healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2}}
  }, {
    "name": "81_listener", "protocol": "HTTP", "protocol_port": 81,
    "default_pool": {"name": "80_pool"}
  }],
  "pools": [{"name": "spare", "protocol": "TCP", "lb_algorithm": "SOURCE_IP"}])";

TEST_F(Tree, one_request_makes_it_and_shows_all_of_it) {
  const auto answer = populate(web);
  ASSERT_EQ(answer.status, 201) << answer.response.body;
  const auto& shown = answer["loadbalancer"];
  EXPECT_EQ(shown.at("provisioning_status"), "PENDING_CREATE");
  ASSERT_EQ(shown.at("listeners").as_array().size(), 2U);
  EXPECT_EQ(shown.at("listeners").at(0).at("name"), "80_listener");
  EXPECT_EQ(shown.at("listeners").at(0).at("default_pool_id"),
            shown.at("listeners").at(1).at("default_pool_id"));
  ASSERT_EQ(shown.at("pools").as_array().size(), 2U);
  const auto& pool = shown.at("pools").at(shown.at("pools").at(0).at("name") == "80_pool" ? 0 : 1);
  EXPECT_EQ(pool.at("members").as_array().size(), 2U);
  EXPECT_EQ(pool.at("members").at(0).at("operating_status"), "OFFLINE") << "it waits for a probe";
  EXPECT_EQ(pool.at("healthmonitor").at("type"), "HTTP");

  EXPECT_EQ(get("/v2/lbaas/loadbalancers").json.at("loadbalancers").at(0).at("provisioning_status"),
            "ACTIVE");
  EXPECT_EQ(data_plane_.state.listeners.size(), 2U);
  EXPECT_EQ(data_plane_.state.members.size(), 2U);
  EXPECT_TRUE(data_plane_.violations.empty());
}

TEST_F(Tree, pools_need_names_and_definitions) {
  const std::string front = R"("listeners": [{"protocol": "TCP", "protocol_port": 80, )";
  const std::string pool = R"("protocol": "TCP", "lb_algorithm": "ROUND_ROBIN"})";
  EXPECT_EQ(fault(front + R"("default_pool": {)" + pool + "}]"),
            "400 Validation failure: Pools must be named when creating a fully populated "
            "loadbalancer.");
  EXPECT_EQ(fault(front + R"("default_pool": {"name": "x"}}])"),
            "400 Validation failure: Pool 'x' was referenced but no full definition was found.");
  EXPECT_EQ(fault(front + R"("default_pool": {"name": "x", "protocol": "TCP"}}])"),
            "400 Validation failure: Pool definition for 'x' missing required attribute: "
            "lb_algorithm");
  EXPECT_EQ(fault(R"("pools": [{"name": "x", )" + pool + R"(, {"name": "x", )" + pool + "]"),
            "400 Validation failure: Pool names must be unique when creating a fully populated "
            "loadbalancer.");
}

TEST_F(Tree, a_mistake_deep_below_undoes_everything) {
  const std::string front =
      R"("listeners": [{"protocol": "TCP", "protocol_port": 80, "default_pool":
      {"name": "x", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", )";
  EXPECT_EQ(fault(front + R"("members": [{"address": "x", "protocol_port": 80}]}}])"),
            "400 Invalid input for field/attribute address. Value: 'x'. Value should be IPv4 or "
            "IPv6 format");
  EXPECT_EQ(
      fault(front + R"("members": [{"address": "10.0.0.4", "protocol_port": 80, "x": 1}]}}])"),
      "400 Unknown attribute for argument "
      "load_balancer.loadbalancer.listeners.default_pool.members: x");
  EXPECT_EQ(fault(front + R"("members": [{"address": "10.0.0.4", "protocol_port": 80},
                                         {"address": "10.0.0.4", "protocol_port": 80}]}}])"),
            "409 Another member on this pool is already using ip 10.0.0.4 on protocol_port 80");
  EXPECT_EQ(fault(front + R"("healthmonitor": {"type": "SCTP", "delay": 1, "timeout": 1,
                                               "max_retries": 1}}}])"),
            "400 Validation failure: The SCTP type is only supported for pools of type UDP/SCTP.");
  EXPECT_EQ(fault(R"("listeners": [{"protocol": "TCP", "protocol_port": 80},
                                   {"protocol": "HTTPS", "protocol_port": 80}])"),
            "409 Another Listener on this Load Balancer is already using protocol TCP and "
            "protocol_port 80");
}

TEST_F(Tree, cascade_takes_it_all_away) {
  const auto id = text(populate(web)["loadbalancer"].at("id"));
  EXPECT_EQ(del("/v2/lbaas/loadbalancers/" + id).status, 400);
  EXPECT_EQ(del("/v2/lbaas/loadbalancers/" + id + "?cascade=True").status, 204);
  EXPECT_EQ(controller().model(), model::Model{});
  EXPECT_EQ(data_plane_.state, control::DataPlaneState{});
}

TEST_F(Tree, failover_tries_again_what_the_data_plane_refused) {
  data_plane_.veto = [](const control::Operation&) -> Result<void> {
    return fail(ErrorKind::conflict, "map vips is full");
  };
  const auto id = create_load_balancer();
  const auto url = "/v2/lbaas/loadbalancers/" + id;
  EXPECT_EQ(get(url)["loadbalancer"].at("provisioning_status"), "ERROR");
  EXPECT_EQ(put(url + "/failover", "").status, 202);
  EXPECT_EQ(get(url)["loadbalancer"].at("provisioning_status"), "ERROR");
  data_plane_.veto = nullptr;
  const auto answer = put(url + "/failover", "");
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.response.body, "");
  EXPECT_EQ(get(url)["loadbalancer"].at("provisioning_status"), "ACTIVE");
  EXPECT_EQ(put("/v2/lbaas/loadbalancers/none/failover", "").status, 404);
}

}  // namespace
}  // namespace sluice::api
