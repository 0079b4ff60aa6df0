// Details on which clients of the real service depend: the answers are the same here.
#include <array>

#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class OctaviaTest : public ApiTest {
 protected:
  // "2026-..." or null
  std::string updated_at(const std::string& url, const std::string& wrapper) {
    return text(get(url)[wrapper].at("updated_at"));
  }
};

TEST_F(OctaviaTest, updated_at_is_set_when_provisioning_ends) {
  const auto answer = post("/v2/lbaas/loadbalancers",
                           R"({"loadbalancer": {"vip_address": "10.0.0.16", "listeners":
                               [{"protocol": "TCP", "protocol_port": 80}]}})");
  ASSERT_EQ(answer.status, 201U) << answer.response.body;
  EXPECT_TRUE(answer["loadbalancer"].at("updated_at").is_null()) << "it has only begun";
  const auto& listener = answer["loadbalancer"].at("listeners").as_array()[0].as_object();
  EXPECT_TRUE(listener.at("updated_at").is_null());
  EXPECT_NE(updated_at("/v2/lbaas/loadbalancers/" + text(answer["loadbalancer"].at("id")),
                       "loadbalancer"),
            "null");
  EXPECT_NE(updated_at("/v2/lbaas/listeners/" + text(listener.at("id")), "listener"), "null");
}

TEST_F(OctaviaTest, a_childs_change_updates_its_parents) {
  const auto load_balancer = create_load_balancer();
  const auto listener = create_listener(load_balancer);
  const auto pool = create_pool(listener);
  const auto time_of = [&] {
    const auto& model = controller().model();
    return std::array{model.load_balancers.at(*parse_uuid(load_balancer)).updated_at,
                      model.listeners.at(*parse_uuid(listener)).updated_at,
                      model.pools.at(*parse_uuid(pool)).updated_at};
  };
  const auto before = time_of();
  create_member(pool);
  const auto after = time_of();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_LT(before[i], after[i]) << i;
}

TEST_F(OctaviaTest, the_last_version_announced_is_the_current_one_and_knows_source_ranges) {
  const auto versions = get("/").json.at("versions").as_array();
  ASSERT_EQ(versions.size(), 27U);
  for (std::size_t minor = 0; minor < versions.size(); ++minor) {
    EXPECT_EQ(text(versions[minor].at("id")), "v2." + std::to_string(minor));
    EXPECT_EQ(text(versions[minor].at("status")), minor == 26 ? "CURRENT" : "SUPPORTED");
    EXPECT_EQ(versions[minor].at("links").as_array()[0].at("href"), "http://localhost/v2");
  }
}

TEST_F(OctaviaTest, links_lead_back_over_tls_where_the_request_came_from) {
  Request request{"GET", "/", ""};
  request.scheme = "https";
  request.host = "lb.example:9876";
  EXPECT_EQ(send(request).json.at("versions").as_array()[0].at("links").as_array()[0].at("href"),
            "https://lb.example:9876/v2");
}

TEST_F(OctaviaTest, a_member_is_shown_at_the_address_that_was_typed) {
  const auto load_balancer = create_load_balancer("2001:db8::10");
  const auto pool = create_pool(create_listener(load_balancer));
  const auto members = "/v2/lbaas/pools/" + pool + "/members";
  const auto made = post(members, R"({"member": {"address": "2001:0DB8:0::44", "protocol_port": 80,
                                      "monitor_address": "2001:DB8::45"}})");
  ASSERT_EQ(made.status, 201U) << made.response.body;
  EXPECT_EQ(made["member"].at("address"), "2001:0DB8:0::44");
  EXPECT_EQ(made["member"].at("monitor_address"), "2001:DB8::45");
  const auto url = members + "/" + text(made["member"].at("id"));
  ASSERT_EQ(put(url, R"({"member": {"weight": 2, "monitor_address": "2001:db8::46"}})").status,
            200U);
  EXPECT_EQ(get(url)["member"].at("address"), "2001:0DB8:0::44");
  EXPECT_EQ(get(url)["member"].at("monitor_address"), "2001:db8::46");
  EXPECT_EQ(get(members + "?address=2001:0DB8:0::44").json.at("members").as_array().size(), 1U);
  // It is the same address, however it is typed.
  EXPECT_EQ(post(members, R"({"member": {"address": "2001:db8::44", "protocol_port": 80}})").status,
            409U);
  ASSERT_EQ(
      put(members, R"({"members": [{"address": "2001:db8::44", "protocol_port": 80}]})").status,
      202U);
  EXPECT_EQ(get(url)["member"].at("address"), "2001:0DB8:0::44");
}

TEST_F(OctaviaTest, a_load_balancer_keeps_the_providers_alias_that_it_was_made_with) {
  int last = 1;
  for (const std::string provider : {"octavia", "amphora", "sluice"}) {
    const auto id = create("/v2/lbaas/loadbalancers", "loadbalancer",
                           R"("vip_address": "10.0.0.)" + std::to_string(last++) +
                               R"(", "provider": ")" + provider + '"');
    EXPECT_EQ(text(get("/v2/lbaas/loadbalancers/" + id)["loadbalancer"].at("provider")), provider);
    EXPECT_EQ(get("/v2/lbaas/loadbalancers?provider=" + provider)
                  .json.at("loadbalancers")
                  .as_array()
                  .size(),
              1U);
    EXPECT_EQ(get("/v2/lbaas/providers/" + provider + "/flavor_capabilities").status, 200U);
  }
  const auto answer = post("/v2/lbaas/loadbalancers",
                           R"({"loadbalancer": {"vip_address": "10.0.0.9", "provider": "f5"}})");
  EXPECT_EQ(answer.status, 400U);
  EXPECT_EQ(answer.fault(), "Provider 'f5' is not enabled.");
}

TEST_F(OctaviaTest, a_providers_description_has_no_comma_for_lists_to_break_at) {
  const auto providers = get("/v2/lbaas/providers").json.at("providers").as_array();
  EXPECT_EQ(text(providers[0].at("description")).find(','), std::string::npos);
}

TEST_F(OctaviaTest, members_may_live_on_subnets_that_nobody_declared_here) {
  declare({"private-subnet,cidr=10.0.0.0/24"});
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const std::string subnet = "11111111-2222-4333-8444-555555555555";
  const auto answer = post("/v2/lbaas/pools/" + pool + "/members",
                           R"({"member": {"address": "10.9.0.4", "protocol_port": 80,
                                          "subnet_id": ")" +
                               subnet + "\"}}");
  ASSERT_EQ(answer.status, 201U) << answer.response.body;
  EXPECT_EQ(text(answer["member"].at("subnet_id")), subnet);
}

TEST_F(OctaviaTest, whoever_probes_the_service_is_told_that_it_is_well) {
  const auto answer = [&](const std::string& accept) {
    Request request{"GET", "/healthcheck", ""};
    request.accept = accept;
    const Context context{controller(), "project", events_};
    return handle(context, request);
  };
  EXPECT_EQ(answer("").status, 200U);
  EXPECT_EQ(answer("").body, "OK");
  EXPECT_TRUE(answer("").content_type.starts_with("text/plain"));
  EXPECT_EQ(answer("application/json").body, R"({"detailed":false,"reasons":[]})");
}

TEST_F(OctaviaTest, a_port_is_told_of_no_security_groups_and_stays_as_it_is) {
  const auto id = create_load_balancer();
  const auto port =
      "/v2.0/ports/" + text(get("/v2/lbaas/loadbalancers/" + id)["loadbalancer"].at("vip_port_id"));
  for (const auto* nothing : {R"({"port": {"security_groups": []}})",
                              R"({"port": {"allowed_address_pairs": []}})", R"({"port": {}})"}) {
    const auto answer = put(port, nothing);
    EXPECT_EQ(answer.status, 200U) << answer.response.body;
    EXPECT_EQ(answer["port"], get(port)["port"]);
  }
  EXPECT_EQ(put(port, R"({"port": {"security_groups": ["x"]}})").status, 501U);
  EXPECT_EQ(put(port, R"({"port": {"colour": 1}})").status, 400U);
  EXPECT_EQ(put("/v2.0/ports/" + id, R"({"port": {}})").status, 404U);
  EXPECT_EQ(text(get("/v2.0/security-groups?name=x").json.at("security_groups")), "[]");
  EXPECT_EQ(get("/v2.0/security-groups/" + id).status, 404U);
}

TEST_F(OctaviaTest, rules_of_a_policy_that_is_not_there_are_not_found) {
  const std::string id = "11111111-2222-4333-8444-555555555555";
  for (const auto& url :
       {"/v2/lbaas/l7policies/" + id + "/rules", "/v2/lbaas/l7policies/" + id + "/rules/" + id}) {
    const auto answer = get(url);
    EXPECT_EQ(answer.status, 404U) << url;
    EXPECT_EQ(text(answer.json.at("description")), "L7Policy " + id + " not found.");
  }
}

TEST_F(OctaviaTest, a_number_in_an_error_is_shown_as_it_was_given) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  for (const auto* number : {"2.0", "2", "0.5"}) {
    const auto answer = post("/v2/lbaas/healthmonitors",
                             R"({"healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 3,
                                 "max_retries": 2, "http_version": )" +
                                 std::string(number) + R"(, "pool_id": ")" + pool + "\"}}");
    EXPECT_EQ(answer.status, 400U);
    EXPECT_EQ(answer.fault(), "Invalid input for field/attribute http_version. Value: '" +
                                  std::string(number) + "'. Value should be one of: 1.0, 1.1");
  }
}

TEST_F(OctaviaTest, names_and_tags_move_no_cursor) {
  const auto url = "/v2/lbaas/loadbalancers/" + create_load_balancer();
  for (const auto* bad :
       {R"({"loadbalancer": {"name": "a\u001b[2J"}})", R"({"loadbalancer": {"name": "a\nb"}})",
        R"({"loadbalancer": {"name": "\u009b"}})", R"({"loadbalancer": {"tags": ["a\u202eb"]}})"}) {
    const auto answer = put(url, bad);
    EXPECT_EQ(answer.status, 400U) << bad;
    EXPECT_NE(answer.fault().find("Value should have no control characters"), std::string::npos)
        << answer.fault();
  }
  EXPECT_EQ(
      put(url, R"({"loadbalancer": {"name": "größe 🙂", "description": "two\nlines"}})").status,
      200U);
}

}  // namespace
}  // namespace sluice::api
