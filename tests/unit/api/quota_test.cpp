// Quotas: how many objects a project may have, set, shown and kept.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

constexpr auto project = "0123456789abcdef0123456789abcdef";  // the fixture's
const std::string url = std::string("/v2.0/lbaas/quotas/") + project;

class QuotaTest : public ApiTest {
 protected:
  void limit(const std::string& limits) {
    const auto answer = put(url, R"({"quota": {)" + limits + "}}");
    ASSERT_EQ(answer.status, 202U) << answer.response.body;
  }
  static std::string refusal(const Answer& answer) {
    return std::to_string(answer.status) + (answer.status < 400 ? "" : " " + answer.fault());
  }
};

TEST_F(QuotaTest, a_project_without_a_quota_has_as_much_as_it_likes) {
  const auto answer = get(url);
  EXPECT_EQ(answer.status, 200U);
  for (const auto& [name, value] : answer["quota"]) EXPECT_EQ(value, -1) << std::string(name);
  EXPECT_EQ(text(get("/v2.0/lbaas/quotas").json.at("quotas")), "[]");
}

TEST_F(QuotaTest, what_is_set_is_shown_and_the_rest_stays) {
  limit(R"("load_balancer": 5, "healthmonitor": "3")");
  limit(R"("pool": 2)");
  const auto answer = get(url);
  EXPECT_EQ(answer["quota"].at("load_balancer"), 5);
  EXPECT_EQ(answer["quota"].at("health_monitor"), 3);
  EXPECT_EQ(answer["quota"].at("pool"), 2);
  EXPECT_EQ(answer["quota"].at("member"), -1);
  const auto listed = get("/v2.0/lbaas/quotas").json.at("quotas").as_array();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].at("project_id"), project);
  EXPECT_EQ(listed[0].at("load_balancer"), 5);
  EXPECT_EQ(get(url + "/default")["quota"].at("load_balancer"), -1);
  limit(R"("pool": null)");
  EXPECT_EQ(get(url)["quota"].at("pool"), -1);
  EXPECT_EQ(del(url).status, 202U);
  EXPECT_EQ(get(url)["quota"].at("load_balancer"), -1);
  EXPECT_EQ(del(url).status, 404U);
}

TEST_F(QuotaTest, a_wrong_limit_is_refused_and_changes_nothing) {
  for (const auto* bad : {R"("load_balancer": -2)", R"("load_balancer": "x")",
                          R"("load_balancer": 2000000001)", R"("colour": 1)"}) {
    EXPECT_EQ(put(url, std::string(R"({"quota": {)") + bad + "}}").status, 400U) << bad;
  }
  EXPECT_EQ(get(url)["quota"].at("load_balancer"), -1);
}

TEST_F(QuotaTest, one_more_of_any_kind_than_the_quota_allows_is_forbidden_and_not_made) {
  const auto load_balancer = create_load_balancer();
  const auto listener = create_listener(load_balancer);
  const auto pool = create_pool(listener);
  create_member(pool);
  create_monitor(pool);
  const auto second_pool = create_pool(create_listener(load_balancer, 81));
  limit(R"("load_balancer": 1, "listener": 2, "pool": 2, "member": 1, "health_monitor": 1)");
  EXPECT_EQ(
      refusal(post("/v2/lbaas/loadbalancers", R"({"loadbalancer": {"vip_address": "10.0.0.99"}})")),
      "403 Quota has been met for resources: Load Balancer");
  EXPECT_EQ(refusal(post("/v2/lbaas/listeners",
                         R"({"listener": {"protocol": "TCP", "protocol_port": 99,
                                          "loadbalancer_id": ")" +
                             load_balancer + "\"}}")),
            "403 Quota has been met for resources: Listener");
  EXPECT_EQ(refusal(post("/v2/lbaas/pools",
                         R"({"pool": {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
                                      "loadbalancer_id": ")" +
                             load_balancer + "\"}}")),
            "403 Quota has been met for resources: Pool");
  const auto members = "/v2/lbaas/pools/" + pool + "/members";
  EXPECT_EQ(refusal(post(members, R"({"member": {"address": "10.0.0.9", "protocol_port": 80}})")),
            "403 Quota has been met for resources: Member");
  EXPECT_EQ(refusal(post("/v2/lbaas/healthmonitors",
                         R"({"healthmonitor": {"type": "TCP", "delay": 5, "timeout": 3,
                             "max_retries": 2, "pool_id": ")" +
                             second_pool + "\"}}")),
            "403 Quota has been met for resources: Health Monitor");
  EXPECT_EQ(get("/v2/lbaas/loadbalancers").json.at("loadbalancers").as_array().size(), 1U);
  EXPECT_EQ(get(members).json.at("members").as_array().size(), 1U);
  // A member that replaces another is not an additional one.
  EXPECT_EQ(put(members, R"({"members": [{"address": "10.0.0.9", "protocol_port": 80}]})").status,
            202U);
}

TEST_F(QuotaTest, another_projects_objects_do_not_count) {
  limit(R"("load_balancer": 0)");
  const auto other =
      post("/v2/lbaas/loadbalancers",
           R"({"loadbalancer": {"vip_address": "10.0.0.99", "project_id": "other"}})");
  EXPECT_EQ(other.status, 201U) << other.response.body;
}

TEST_F(QuotaTest, what_the_data_plane_has_no_room_for_is_refused_and_never_an_error_later) {
  data_plane_.can.room = {.vips = 2, .listeners = 1, .members = 1};
  const auto load_balancer = create_load_balancer();
  const auto pool = create_pool(create_listener(load_balancer));
  create_member(pool);
  EXPECT_EQ(refusal(post("/v2/lbaas/listeners",
                         R"({"listener": {"protocol": "TCP", "protocol_port": 99,
                                          "loadbalancer_id": ")" +
                             load_balancer + "\"}}")),
            "403 Quota has been met for resources: Listener (the data plane has room for 1 "
            "listeners)");
  EXPECT_EQ(post("/v2/lbaas/pools/" + pool + "/members",
                 R"({"member": {"address": "10.0.0.9", "protocol_port": 80}})")
                .status,
            403U);
  const auto second = create_load_balancer("10.0.0.17", "second");
  EXPECT_EQ(
      refusal(post("/v2/lbaas/loadbalancers", R"({"loadbalancer": {"vip_address": "10.0.0.18"}})")),
      "403 Quota has been met for resources: Load Balancer (the data plane has room for 2 "
      "VIPs, floating IPs and SNAT addresses)");
  // If an upgrade has left less room, existing objects can still be changed and removed.
  data_plane_.can.room.vips = 1;
  EXPECT_EQ(put("/v2/lbaas/loadbalancers/" + second, R"({"loadbalancer": {"name": "x"}})").status,
            200U);
  EXPECT_EQ(del("/v2/lbaas/loadbalancers/" + second).status, 204U);
}

TEST_F(QuotaTest, a_tree_that_does_not_fit_leaves_nothing_behind) {
  limit(R"("member": 1)");
  const auto answer = post("/v2/lbaas/loadbalancers", R"({"loadbalancer": {
      "vip_address": "10.0.0.16", "listeners": [{"protocol": "TCP", "protocol_port": 80,
      "default_pool": {"name": "p", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "members": [
        {"address": "10.0.0.4", "protocol_port": 80}, {"address": "10.0.0.5", "protocol_port": 80}
      ]}}]}})");
  EXPECT_EQ(refusal(answer), "403 Quota has been met for resources: Member");
  EXPECT_EQ(text(get("/v2/lbaas/loadbalancers").json.at("loadbalancers")), "[]");
}

}  // namespace
}  // namespace sluice::api
