// PUT and DELETE: what they change, reset to its default, and remove.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class Change : public ApiTest {
 protected:
  const std::string load_balancer_ = create_load_balancer();
  const std::string listener_ = create_listener(load_balancer_);
  const std::string pool_ = create_pool(listener_);
  const std::string member_ = create_member(pool_);
  const std::string monitor_ = create_monitor(pool_);

  const std::string load_balancer_url_ = "/v2.0/lbaas/loadbalancers/" + load_balancer_;
  const std::string listener_url_ = "/v2.0/lbaas/listeners/" + listener_;
  const std::string pool_url_ = "/v2.0/lbaas/pools/" + pool_;
  const std::string member_url_ = pool_url_ + "/members/" + member_;
  const std::string monitor_url_ = "/v2.0/lbaas/healthmonitors/" + monitor_;
};

TEST_F(Change, an_update_shows_pending_and_the_next_look_active) {
  auto answer =
      put(load_balancer_url_, R"({"loadbalancer": {"name": "new", "tags": ["a", "b", "a"]}})");
  ASSERT_EQ(answer.status, 200) << answer.response.body;
  EXPECT_EQ(answer["loadbalancer"].at("provisioning_status"), "PENDING_UPDATE");
  EXPECT_EQ(answer["loadbalancer"].at("name"), "new");
  EXPECT_EQ(text(answer["loadbalancer"].at("tags")), R"(["a","b"])");
  const auto shown = get(load_balancer_url_)["loadbalancer"];
  EXPECT_EQ(shown.at("provisioning_status"), "ACTIVE");
  EXPECT_FALSE(shown.at("updated_at").is_null());
}

TEST_F(Change, an_update_leaves_the_attributes_that_it_does_not_name) {
  ASSERT_EQ(put(member_url_, R"({"member": {"weight": 7, "backup": true}})").status, 200);
  ASSERT_EQ(put(member_url_, R"({"member": {"name": "renamed"}})").status, 200);
  const auto shown = get(member_url_)["member"];
  EXPECT_EQ(shown.at("weight"), 7);
  EXPECT_EQ(shown.at("backup"), true);
  EXPECT_EQ(shown.at("name"), "renamed");
}

TEST_F(Change, numbers_come_as_strings_and_fractions_are_cut_off) {
  auto answer = put(listener_url_, R"({"listener": {"connection_limit": "100"}})");
  EXPECT_EQ(answer["listener"].at("connection_limit"), 100);
  answer = put(member_url_, R"({"member": {"weight": 3.7}})");
  EXPECT_EQ(answer["member"].at("weight"), 3);
}

TEST_F(Change, booleans_come_as_words) {
  auto answer = put(member_url_, R"({"member": {"backup": "true", "admin_state_up": "off"}})");
  EXPECT_EQ(answer["member"].at("backup"), true);
  EXPECT_EQ(answer["member"].at("admin_state_up"), false);
}

TEST_F(Change, null_brings_the_defaults_of_a_member_back) {
  put(member_url_, R"({"member": {"name": "n", "weight": 9, "backup": true, "tags": ["x"],
                                  "monitor_port": 8080, "monitor_address": "10.0.0.9"}})");
  auto answer = put(member_url_, R"({"member": {"name": null, "weight": null, "backup": null,
                      "tags": null, "monitor_port": null, "monitor_address": null}})");
  ASSERT_EQ(answer.status, 200) << answer.response.body;
  const auto& shown = answer["member"];
  EXPECT_EQ(shown.at("name"), "");
  EXPECT_EQ(shown.at("weight"), 1);
  EXPECT_EQ(shown.at("backup"), false);
  EXPECT_EQ(text(shown.at("tags")), "[]");
  EXPECT_TRUE(shown.at("monitor_port").is_null());
  EXPECT_TRUE(shown.at("monitor_address").is_null());
}

TEST_F(Change, null_brings_the_defaults_of_a_listener_back) {
  put(listener_url_, R"({"listener": {"connection_limit": 5, "timeout_client_data": 1}})");
  auto answer = put(listener_url_, R"({"listener": {"connection_limit": null, "allowed_cidrs": null,
                      "timeout_client_data": null, "default_pool_id": null}})");
  ASSERT_EQ(answer.status, 200) << answer.response.body;
  EXPECT_EQ(answer["listener"].at("connection_limit"), -1);
  EXPECT_EQ(answer["listener"].at("timeout_client_data"), 50000);
  EXPECT_TRUE(answer["listener"].at("default_pool_id").is_null());
}

TEST_F(Change, null_brings_the_defaults_of_a_monitor_back) {
  put(monitor_url_, R"({"healthmonitor": {"expected_codes": "200-204", "max_retries_down": 9,
                                          "url_path": "/x", "http_method": "HEAD"}})");
  auto answer = put(monitor_url_, R"({"healthmonitor": {"expected_codes": null, "url_path": null,
                                      "max_retries_down": null, "http_method": null}})");
  ASSERT_EQ(answer.status, 200) << answer.response.body;
  EXPECT_EQ(answer["healthmonitor"].at("expected_codes"), "200");
  EXPECT_EQ(answer["healthmonitor"].at("max_retries_down"), 3);
  EXPECT_EQ(answer["healthmonitor"].at("url_path"), "/");
  EXPECT_EQ(answer["healthmonitor"].at("http_method"), "GET");
}

TEST_F(Change, the_http_version_is_a_number) {
  auto answer =
      put(monitor_url_,
          R"({"healthmonitor": {"http_version": 1.1, "domain_name": "www.example.com"}})");
  ASSERT_EQ(answer.status, 200) << answer.response.body;
  EXPECT_EQ(answer["healthmonitor"].at("http_version"), 1.1);
  EXPECT_EQ(answer["healthmonitor"].at("domain_name"), "www.example.com");
}

TEST_F(Change, a_listener_changes_its_own_limits_and_back) {
  auto answer =
      put(listener_url_, R"({"listener": {"new_connection_limit": 20, "on_no_member": "reset"}})");
  EXPECT_EQ(answer["listener"].at("new_connection_limit"), 20);
  EXPECT_EQ(answer["listener"].at("on_no_member"), "reset");
  answer =
      put(listener_url_, R"({"listener": {"new_connection_limit": null, "on_no_member": null}})");
  EXPECT_EQ(answer["listener"].at("new_connection_limit"), -1);
  EXPECT_EQ(answer["listener"].at("on_no_member"), "drop");
}

TEST_F(Change, a_listener_authenticates_syns_in_floods_unless_it_says_otherwise) {
  EXPECT_EQ(get(listener_url_)["listener"].at("syn_authentication"), "auto");
  for (const auto* word : {"always", "off"}) {
    const auto answer = put(
        listener_url_, std::string(R"({"listener": {"syn_authentication": ")") + word + R"("}})");
    EXPECT_EQ(answer["listener"].at("syn_authentication"), word);
  }
  const auto answer = put(listener_url_, R"({"listener": {"syn_authentication": null}})");
  EXPECT_EQ(answer["listener"].at("syn_authentication"), "auto");
}

TEST_F(Change, a_member_may_have_so_many_connections) {
  EXPECT_TRUE(get(member_url_)["member"].at("max_connections").is_null());
  const auto set = [&](const std::string& value) {
    return put(member_url_, R"({"member": {"max_connections": )" + value + "}}");
  };
  EXPECT_EQ(set("500")["member"].at("max_connections"), 500);
  for (const auto* wrong : {"0", "-1", "2147483648", R"("many")"})
    EXPECT_EQ(set(wrong).status, 400U) << wrong;
  EXPECT_EQ(controller().model().members.begin()->second.max_connections, 500U);
  EXPECT_TRUE(set("null")["member"].at("max_connections").is_null());
}

TEST_F(Change, a_pools_new_members_start_slowly_and_show_how_long_still) {
  EXPECT_TRUE(get(pool_url_)["pool"].at("slow_start").is_null());
  for (const auto* wrong : {"-1", "86401", R"("slowly")"}) {
    EXPECT_EQ(put(pool_url_, std::string(R"({"pool": {"slow_start": )") + wrong + "}}").status,
              400U)
        << wrong;
  }
  EXPECT_EQ(put(pool_url_, R"({"pool": {"slow_start": 6000}})")["pool"].at("slow_start"), 6000);
  EXPECT_FALSE(get(member_url_)["member"].contains("slow_start_seconds_left"));
  put(member_url_, R"({"member": {"weight": 0}})");
  put(member_url_, R"({"member": {"weight": 3}})");
  const auto shown = get(member_url_)["member"];
  EXPECT_NEAR(static_cast<double>(shown.at("slow_start_seconds_left").as_int64()), 6000, 400);
  EXPECT_EQ(shown.at("weight"), 3);
  EXPECT_TRUE(
      put(pool_url_, R"({"pool": {"slow_start": null}})")["pool"].at("slow_start").is_null());
  EXPECT_FALSE(get(member_url_)["member"].contains("slow_start_seconds_left"));
}

TEST_F(Change, a_member_is_drained_by_a_time_that_its_pool_or_the_request_says) {
  const auto member = [&] { return controller().model().members.begin()->second; };
  const auto seconds_left = [&] {
    return std::chrono::duration_cast<std::chrono::seconds>(*member().drain_until -
                                                            std::chrono::system_clock::now())
        .count();
  };
  put(member_url_, R"({"member": {"weight": 0}})");
  EXPECT_FALSE(member().drain_until) << "as before: until they end";
  auto shown = get(member_url_)["member"];
  EXPECT_EQ(shown.at("connections_left"), 0);
  EXPECT_FALSE(shown.contains("drain_seconds_left"));
  put(member_url_, R"({"member": {"weight": 3}})");
  EXPECT_FALSE(get(member_url_)["member"].contains("connections_left"));

  EXPECT_EQ(put(pool_url_, R"({"pool": {"drain_timeout": 3000}})")["pool"].at("drain_timeout"),
            3000);
  put(member_url_, R"({"member": {"admin_state_up": false}})");
  ASSERT_TRUE(member().drain_until);
  EXPECT_NEAR(static_cast<double>(seconds_left()), 3000, 100);
  put(member_url_, R"({"member": {"name": "x"}})");
  EXPECT_TRUE(member().drain_until) << "another change is no new drain";
  put(member_url_, R"({"member": {"admin_state_up": true}})");
  EXPECT_FALSE(member().drain_until);

  put(member_url_, R"({"member": {"drain": 60000}})");
  EXPECT_EQ(member().weight, 0);
  EXPECT_NEAR(static_cast<double>(seconds_left()), 60000, 100);
  shown = get(member_url_)["member"];
  EXPECT_NEAR(static_cast<double>(shown.at("drain_seconds_left").as_int64()), 60000, 100);
  EXPECT_EQ(put(member_url_, R"({"member": {"drain": 5, "weight": 1}})").status, 400U);
  EXPECT_EQ(put(member_url_, R"({"member": {"drain": -1}})").status, 400U);
  put(member_url_, R"({"member": {"weight": 1}})");
  EXPECT_FALSE(member().drain_until);
}

TEST_F(Change, a_health_monitor_says_whether_probes_ask_for_the_vip) {
  EXPECT_EQ(get(monitor_url_)["healthmonitor"].at("probe_vip"), false);
  const auto* wanted = R"({"healthmonitor": {"probe_vip": true}})";
  EXPECT_EQ(put(monitor_url_, wanted).status, 400U) << "the pool is fullnat";
  put(pool_url_, R"({"pool": {"forwarding_mode": "dsr"}})");
  EXPECT_EQ(put(monitor_url_, wanted)["healthmonitor"].at("probe_vip"), true);
  EXPECT_EQ(put(pool_url_, R"({"pool": {"forwarding_mode": "fullnat"}})").status, 400U);
  EXPECT_EQ(put(monitor_url_, R"({"healthmonitor": {"probe_vip": "some"}})").status, 400U);
  EXPECT_EQ(put(monitor_url_, R"({"healthmonitor": {"probe_vip": null}})")["healthmonitor"].at(
                "probe_vip"),
            false);
}

TEST_F(Change, a_pool_says_whether_members_of_both_ip_versions_serve_side_by_side) {
  EXPECT_EQ(get(pool_url_)["pool"].at("mixed_versions"), false);
  EXPECT_EQ(put(pool_url_, R"({"pool": {"mixed_versions": true}})")["pool"].at("mixed_versions"),
            true);
  EXPECT_EQ(put(pool_url_, R"({"pool": {"mixed_versions": "some"}})").status, 400U);
  EXPECT_EQ(put(pool_url_, R"({"pool": {"forwarding_mode": "dnat"}})").status, 501U);
  EXPECT_EQ(put(pool_url_, R"({"pool": {"mixed_versions": null}})")["pool"].at("mixed_versions"),
            false);
}

TEST_F(Change, a_listener_says_whether_its_connections_are_recorded) {
  EXPECT_EQ(get(listener_url_)["listener"].at("records"), true);
  EXPECT_EQ(put(listener_url_, R"({"listener": {"records": false}})")["listener"].at("records"),
            false);
  EXPECT_EQ(put(listener_url_, R"({"listener": {"records": "some"}})").status, 400U);
  EXPECT_EQ(put(listener_url_, R"({"listener": {"records": null}})")["listener"].at("records"),
            true);
}

TEST_F(Change, a_listener_resets_idle_connections_if_they_are_of_tcp) {
  EXPECT_EQ(get(listener_url_)["listener"].at("on_idle"), "forget");
  EXPECT_EQ(put(listener_url_, R"({"listener": {"on_idle": "reset"}})")["listener"].at("on_idle"),
            "reset");
  EXPECT_EQ(put(listener_url_, R"({"listener": {"on_idle": "drop"}})").status, 400U);
  EXPECT_EQ(put(listener_url_, R"({"listener": {"on_idle": null}})")["listener"].at("on_idle"),
            "forget");
}

TEST_F(Change, a_listeners_idle_timeout_is_its_own_and_data_timeouts_count_from_when_they_are_set) {
  const auto listener = [&] { return controller().model().listeners.begin()->second; };
  EXPECT_EQ(get(listener_url_)["listener"].at("idle_timeout"), nullptr);
  auto answer = put(listener_url_, R"({"listener": {"idle_timeout": "600"}})");
  EXPECT_EQ(answer["listener"].at("idle_timeout"), 600);
  EXPECT_EQ(put(listener_url_, R"({"listener": {"idle_timeout": 0}})").status, 400U);
  answer = put(listener_url_, R"({"listener": {"idle_timeout": null}})");
  EXPECT_EQ(answer["listener"].at("idle_timeout"), nullptr);
  EXPECT_EQ(answer["listener"].at("timeout_client_data"), 50000)
      << "shown as the real service does";
  EXPECT_TRUE(listener().data_timeouts_count);
}

TEST_F(Change, a_listeners_connect_timeout_counts_from_when_it_is_set_also_if_it_is_the_default) {
  const auto shown = [&](const Answer& answer) {
    const auto& listener = answer["listener"];
    return std::pair(listener.at("timeout_member_connect").as_int64(),
                     listener.at("timeout_member_connect_set").as_bool());
  };
  EXPECT_EQ(shown(get(listener_url_)), std::pair(5000L, false));
  const auto set = [&](const std::string& value) {
    return shown(put(listener_url_, R"({"listener": {"timeout_member_connect": )" + value + "}}"));
  };
  EXPECT_EQ(set("5000"), std::pair(5000L, true));
  put(listener_url_, R"({"listener": {"name": "web"}})");
  EXPECT_EQ(shown(get(listener_url_)), std::pair(5000L, true)) << "another change leaves it";
  EXPECT_EQ(set("null"), std::pair(5000L, false));
  EXPECT_EQ(set("900"), std::pair(900L, true));
}

TEST_F(Change, a_pool_changes_its_forwarding_mode_and_back) {
  auto answer = put(pool_url_, R"({"pool": {"forwarding_mode": "dnat"}})");
  EXPECT_EQ(answer["pool"].at("forwarding_mode"), "dnat");
  answer = put(pool_url_, R"({"pool": {"forwarding_mode": null}})");
  EXPECT_EQ(answer["pool"].at("forwarding_mode"), "fullnat");
}

TEST_F(Change, a_pool_changes_what_becomes_of_connections_to_members_that_are_down_and_back) {
  auto answer = put(pool_url_, R"({"pool": {"on_member_down": "keep"}})");
  EXPECT_EQ(answer["pool"].at("on_member_down"), "keep");
  answer = put(pool_url_, R"({"pool": {"on_member_down": null}})");
  EXPECT_EQ(answer["pool"].at("on_member_down"), "reset");
}

TEST_F(Change, every_single_object_can_be_deleted) {
  for (const auto& url :
       {monitor_url_, member_url_, pool_url_, listener_url_, load_balancer_url_}) {
    auto answer = del(url);
    EXPECT_EQ(answer.status, 204) << url << answer.response.body;
    EXPECT_EQ(answer.response.body, "");
    EXPECT_EQ(get(url).status, 404);
    EXPECT_EQ(del(url).status, 404);
  }
}

TEST_F(Change, a_load_balancer_with_children_goes_only_by_cascade) {
  auto answer = del(load_balancer_url_);
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.fault(), "Validation failure: Cannot delete Load Balancer " + load_balancer_ +
                                " - it has children");
  EXPECT_EQ(del(load_balancer_url_ + "?cascade=false").status, 400);
  EXPECT_EQ(get(listener_url_).status, 200);
  EXPECT_EQ(del(load_balancer_url_ + "?cascade=True").status, 204);
  EXPECT_EQ(get(listener_url_).status, 404);
  EXPECT_EQ(get(pool_url_).status, 404);
  EXPECT_EQ(get(monitor_url_).status, 404);
}

TEST_F(Change, deleting_a_pool_takes_members_and_monitor_and_leaves_the_listener) {
  EXPECT_EQ(del(pool_url_).status, 204);
  EXPECT_EQ(get(member_url_).status, 404);
  EXPECT_EQ(get(monitor_url_).status, 404);
  EXPECT_TRUE(get(listener_url_)["listener"].at("default_pool_id").is_null());
}

TEST_F(Change, a_member_is_not_found_below_another_pool) {
  const auto other = create_pool(create_listener(load_balancer_, 443), "443_pool");
  const auto url = "/v2/lbaas/pools/" + other + "/members/" + member_;
  EXPECT_EQ(get(url).status, 404);
  EXPECT_EQ(put(url, R"({"member": {"weight": 2}})").status, 404);
  EXPECT_EQ(del(url).status, 404);
  EXPECT_EQ(get(member_url_).status, 200);
}

}  // namespace
}  // namespace sluice::api
