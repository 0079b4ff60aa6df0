// The walkthrough's requests, as the command line client sends them, and what their answers must
// show.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

using Walkthrough = ApiTest;

TEST_F(Walkthrough, creating_a_load_balancer_shows_it_pending_and_offline) {
  auto answer = post("/v2.0/lbaas/loadbalancers",
                     R"({"loadbalancer": {"vip_address": "10.0.0.16", "name": "lb_test_1",
                                          "admin_state_up": true}})");
  ASSERT_EQ(answer.status, 201) << answer.response.body;
  const auto& shown = answer["loadbalancer"];
  EXPECT_EQ(shown.at("name"), "lb_test_1");
  EXPECT_EQ(shown.at("vip_address"), "10.0.0.16");
  EXPECT_EQ(shown.at("provisioning_status"), "PENDING_CREATE");
  EXPECT_EQ(shown.at("operating_status"), "OFFLINE");
  EXPECT_EQ(shown.at("provider"), "sluice");
  EXPECT_EQ(shown.at("project_id"), "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(shown.at("tenant_id"), shown.at("project_id"));
  EXPECT_EQ(shown.at("description"), "");
  EXPECT_TRUE(shown.at("updated_at").is_null());
  EXPECT_TRUE(parse_uuid(text(shown.at("vip_port_id"))));
  EXPECT_TRUE(answer.response.request_id.starts_with("req-"));
}

TEST_F(Walkthrough, the_next_look_finds_the_load_balancer_active_and_online) {
  const auto id = create_load_balancer();
  const auto shown = get("/v2.0/lbaas/loadbalancers/" + id)["loadbalancer"];
  EXPECT_EQ(shown.at("provisioning_status"), "ACTIVE");
  EXPECT_EQ(shown.at("operating_status"), "ONLINE");
}

TEST_F(Walkthrough, times_are_shown_in_whole_seconds_without_a_zone) {
  const auto id = create_load_balancer();
  const auto created = text(get("/v2/lbaas/loadbalancers/" + id)["loadbalancer"].at("created_at"));
  ASSERT_EQ(created.size(), std::string("2018-06-25T01:30:17").size()) << created;
  EXPECT_EQ(created[10], 'T');
  EXPECT_EQ(created.substr(0, 2), "20");
}

TEST_F(Walkthrough, a_listener_shows_the_defaults_of_the_real_service) {
  const auto load_balancer = create_load_balancer();
  auto answer =
      post("/v2.0/lbaas/listeners",
           R"({"listener": {"protocol": "TCP", "protocol_port": "80", "name": "80_listener",
                         "loadbalancer_id": ")" +
               load_balancer + R"("}})");
  ASSERT_EQ(answer.status, 201) << answer.response.body;
  const auto& shown = answer["listener"];
  EXPECT_EQ(shown.at("provisioning_status"), "PENDING_CREATE");
  EXPECT_EQ(shown.at("operating_status"), "OFFLINE");
  EXPECT_EQ(shown.at("protocol_port"), 80);
  EXPECT_EQ(shown.at("connection_limit"), -1);
  EXPECT_EQ(shown.at("timeout_client_data"), 50000);
  EXPECT_EQ(shown.at("timeout_member_connect"), 5000);
  EXPECT_EQ(shown.at("timeout_member_data"), 50000);
  EXPECT_EQ(shown.at("timeout_tcp_inspect"), 0);
  EXPECT_TRUE(shown.at("default_pool_id").is_null());
  EXPECT_EQ(text(shown.at("loadbalancers")), "[{\"id\":\"" + load_balancer + "\"}]");
  EXPECT_EQ(text(shown.at("sni_container_refs")), "[]");
  EXPECT_EQ(shown.at("client_authentication"), "NONE");
  EXPECT_TRUE(shown.at("allowed_cidrs").is_null());
}

TEST_F(Walkthrough, a_pool_becomes_the_default_pool_of_its_listener) {
  const auto load_balancer = create_load_balancer();
  const auto listener = create_listener(load_balancer);
  auto answer =
      post("/v2.0/lbaas/pools",
           R"({"pool": {"name": "80_pool", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
                         "admin_state_up": true, "listener_id": ")" +
               listener + R"("}})");
  ASSERT_EQ(answer.status, 201) << answer.response.body;
  const auto& shown = answer["pool"];
  EXPECT_EQ(shown.at("operating_status"), "OFFLINE");
  EXPECT_EQ(shown.at("forwarding_mode"), "fullnat");
  EXPECT_EQ(shown.at("on_member_down"), "reset");
  EXPECT_EQ(text(shown.at("listeners")), "[{\"id\":\"" + listener + "\"}]");
  EXPECT_EQ(text(shown.at("loadbalancers")), "[{\"id\":\"" + load_balancer + "\"}]");
  EXPECT_TRUE(shown.at("session_persistence").is_null());
  EXPECT_EQ(shown.at("tls_enabled"), false);
  EXPECT_FALSE(shown.contains("healthmonitor_id"));
  EXPECT_EQ(get("/v2/lbaas/listeners/" + listener)["listener"].at("default_pool_id"),
            shown.at("id"));
}

TEST_F(Walkthrough, a_member_is_created_without_a_monitor) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  auto answer = post("/v2.0/lbaas/pools/" + pool + "/members",
                     R"({"member": {"name": "80_member_1", "address": "10.0.0.4",
                                    "protocol_port": 80}})");
  ASSERT_EQ(answer.status, 201) << answer.response.body;
  const auto& shown = answer["member"];
  EXPECT_EQ(shown.at("operating_status"), "NO_MONITOR");
  EXPECT_EQ(shown.at("provisioning_status"), "PENDING_CREATE");
  EXPECT_EQ(shown.at("weight"), 1);
  EXPECT_EQ(shown.at("backup"), false);
  EXPECT_TRUE(shown.at("subnet_id").is_null());
  EXPECT_TRUE(shown.at("monitor_port").is_null());
  EXPECT_TRUE(shown.at("monitor_address").is_null());
}

TEST_F(Walkthrough, a_member_of_a_monitored_pool_starts_offline) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  create_monitor(pool);
  auto answer = post("/v2/lbaas/pools/" + pool + "/members",
                     R"({"member": {"address": "10.0.0.4", "protocol_port": 80}})");
  EXPECT_EQ(answer["member"].at("operating_status"), "OFFLINE");
}

TEST_F(Walkthrough, a_health_monitor_shows_its_defaults_and_turns_up_in_its_pool) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  auto answer = post("/v2.0/lbaas/healthmonitors",
                     R"({"healthmonitor": {"name": "80_healthcheck", "delay": "60", "timeout": "20",
                         "max_retries": "2", "url_path": "/health", "type": "HTTP", "pool_id": ")" +
                         pool + R"("}})");
  ASSERT_EQ(answer.status, 201) << answer.response.body;
  const auto& shown = answer["healthmonitor"];
  EXPECT_EQ(shown.at("operating_status"), "OFFLINE");
  EXPECT_EQ(shown.at("delay"), 60);
  EXPECT_EQ(shown.at("max_retries"), 2);
  EXPECT_EQ(shown.at("max_retries_down"), 3);
  EXPECT_EQ(shown.at("http_method"), "GET");
  EXPECT_EQ(shown.at("url_path"), "/health");
  EXPECT_EQ(shown.at("expected_codes"), "200");
  EXPECT_EQ(text(shown.at("pools")), "[{\"id\":\"" + pool + "\"}]");
  EXPECT_EQ(get("/v2/lbaas/pools/" + pool)["pool"].at("healthmonitor_id"), shown.at("id"));
}

TEST_F(Walkthrough, a_tcp_monitor_has_no_http_attributes) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto id = create_monitor(pool, "TCP");
  const auto shown = get("/v2/lbaas/healthmonitors/" + id)["healthmonitor"];
  EXPECT_TRUE(shown.at("url_path").is_null());
  EXPECT_TRUE(shown.at("http_method").is_null());
  EXPECT_TRUE(shown.at("expected_codes").is_null());
}

TEST_F(Walkthrough, the_data_plane_holds_what_was_created) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto member = create_member(pool);
  const auto state = data_plane_.read();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->vips.size(), 1U);
  EXPECT_EQ(state->listeners.size(), 1U);
  ASSERT_EQ(state->pools.size(), 1U);
  EXPECT_EQ(state->pools.begin()->second.ring, std::vector<Uuid>{*parse_uuid(member)});
}

}  // namespace
}  // namespace sluice::api
