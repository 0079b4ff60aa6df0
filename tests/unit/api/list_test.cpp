// Lists: shape, order, filters.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class Lists : public ApiTest {
 protected:
  // The names in the list, joined: "a b"
  std::string names(const std::string& target, const std::string& plural) {
    auto answer = get(target);
    if (answer.status != 200) return answer.response.body;
    std::string joined;
    for (const auto& entry : answer.json.at(plural).as_array()) {
      joined.append(joined.empty() ? "" : " ").append(text(entry.at("name")));
    }
    return joined;
  }
};

TEST_F(Lists, an_empty_list_has_the_real_services_shape) {
  for (std::string plural : {"loadbalancers", "listeners", "pools", "healthmonitors"}) {
    EXPECT_EQ(get("/v2.0/lbaas/" + plural).response.body,
              "{\"" + plural + "\":[],\"" + plural + "_links\":[]}");
  }
}

TEST_F(Lists, both_version_prefixes_and_a_final_slash_lead_to_the_same_list) {
  create_load_balancer();
  const auto body = get("/v2/lbaas/loadbalancers").response.body;
  EXPECT_EQ(get("/v2.0/lbaas/loadbalancers").response.body, body);
  EXPECT_EQ(get("/v2.0/lbaas/loadbalancers/").response.body, body);
}

TEST_F(Lists, the_oldest_comes_first) {
  create_load_balancer("10.0.0.3", "first");
  create_load_balancer("10.0.0.2", "second");
  create_load_balancer("10.0.0.1", "third");
  EXPECT_EQ(names("/v2/lbaas/loadbalancers", "loadbalancers"), "first second third");
}

TEST_F(Lists, load_balancers_are_found_by_any_attribute) {
  const auto a = create_load_balancer("10.0.0.1", "a");
  create_load_balancer("10.0.0.2", "b c");
  put("/v2/lbaas/loadbalancers/" + a, R"({"loadbalancer": {"admin_state_up": false,
                                          "tags": ["red", "green"]}})");
  const auto found = [&](const std::string& query) {
    return names("/v2/lbaas/loadbalancers?" + query, "loadbalancers");
  };
  EXPECT_EQ(found("name=a"), "a");
  EXPECT_EQ(found("name=b+c"), "b c");
  EXPECT_EQ(found("name=b%20c"), "b c");
  EXPECT_EQ(found("id=" + a), "a");
  EXPECT_EQ(found("id=a"), "");
  EXPECT_EQ(found("vip_address=10.0.0.2"), "b c");
  EXPECT_EQ(found("admin_state_up=False"), "a");
  EXPECT_EQ(found("admin_state_up=true"), "b c");
  EXPECT_EQ(found("provisioning_status=ACTIVE&name=a"), "a");
  EXPECT_EQ(found("operating_status=OFFLINE"), "a");
  EXPECT_EQ(found("tags=green"), "a");
  EXPECT_EQ(found("tags-any=green,blue"), "a");
  EXPECT_EQ(found("not-tags=green,blue"), "a b c");
  EXPECT_EQ(found("not-tags=green,red"), "b c");
  EXPECT_EQ(found("not-tags-any=green,blue"), "b c");
  EXPECT_EQ(found("tags=green,blue"), "");
  EXPECT_EQ(found("project_id=0123456789abcdef0123456789abcdef"), "a b c");
}

TEST_F(Lists, children_are_found_by_their_parent) {
  const auto load_balancer = create_load_balancer("10.0.0.1", "a");
  const auto other = create_load_balancer("10.0.0.2", "b");
  const auto listener = create_listener(load_balancer, 80);
  create_listener(other, 443);
  const auto pool = create_pool(listener);
  const auto monitor = create_monitor(pool);
  EXPECT_EQ(names("/v2/lbaas/listeners?loadbalancer_id=" + load_balancer, "listeners"),
            "80_listener");
  EXPECT_EQ(names("/v2/lbaas/listeners?protocol_port=443", "listeners"), "443_listener");
  EXPECT_EQ(names("/v2/lbaas/listeners?default_pool_id=" + pool, "listeners"), "80_listener");
  EXPECT_EQ(names("/v2/lbaas/pools?listener_id=" + listener, "pools"), "80_pool");
  EXPECT_EQ(names("/v2/lbaas/pools?healthmonitor_id=" + monitor, "pools"), "80_pool");
  EXPECT_EQ(names("/v2/lbaas/pools?loadbalancer_id=" + other, "pools"), "");
  EXPECT_EQ(
      get("/v2/lbaas/healthmonitors?pool_id=" + pool).json.at("healthmonitors").as_array().size(),
      1U);
}

TEST_F(Lists, members_are_listed_by_pool) {
  const auto load_balancer = create_load_balancer();
  const auto one = create_pool(create_listener(load_balancer, 80), "80_pool");
  const auto two = create_pool(create_listener(load_balancer, 443), "443_pool");
  create_member(one, "10.0.0.4");
  create_member(one, "10.0.0.6");
  create_member(two, "10.0.0.5");
  EXPECT_EQ(names("/v2/lbaas/pools/" + one + "/members", "members"),
            "member_10.0.0.4 member_10.0.0.6");
  EXPECT_EQ(names("/v2/lbaas/pools/" + one + "/members?name=member_10.0.0.6", "members"),
            "member_10.0.0.6");
  EXPECT_EQ(names("/v2/lbaas/pools/" + one + "/members?address=10.0.0.5", "members"), "");
}

TEST_F(Lists, fields_cuts_the_objects_down) {
  create_load_balancer("10.0.0.1", "a");
  EXPECT_EQ(
      get("/v2/lbaas/loadbalancers?fields=name&fields=vip_address").response.body,
      R"({"loadbalancers":[{"name":"a","vip_address":"10.0.0.1"}],"loadbalancers_links":[]})");
}

TEST_F(Lists, an_unknown_filter_is_refused_even_on_an_empty_list) {
  auto answer = get("/v2/lbaas/loadbalancers?colour=red");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.fault(), "One or more arguments are either duplicate or invalid: colour");
  EXPECT_EQ(get("/v2/lbaas/loadbalancers?healthmonitor_id=x").status, 400);
}

TEST_F(Lists, paging_and_sorting_say_that_they_are_missing) {
  EXPECT_EQ(get("/v2/lbaas/pools?limit=2").status, 501);
  EXPECT_EQ(get("/v2/lbaas/pools?sort=name:desc").status, 501);
}

}  // namespace
}  // namespace sluice::api
