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
  EXPECT_EQ(found("tags=green&tags=red"), "a");
  EXPECT_EQ(found("tags-any=green&tags-any=blue"), "a") << "either";
  EXPECT_EQ(found("not-tags=green&not-tags=blue"), "a b c");
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
  EXPECT_EQ(answer.fault(), "One or more arguments are either duplicate or invalid (colour)");
  EXPECT_EQ(get("/v2/lbaas/loadbalancers?healthmonitor_id=x").status, 400);
}

TEST_F(Lists, any_shown_attribute_sorts_in_both_directions) {
  create_load_balancer("10.0.0.3", "b");
  create_load_balancer("10.0.0.2", "a");
  create_load_balancer("10.0.0.1", "b");
  const auto sorted = [&](const std::string& query) {
    std::string addresses;
    const auto answer = get("/v2/lbaas/loadbalancers?" + query);
    for (const auto& entry : answer.json.at("loadbalancers").as_array()) {
      addresses += text(entry.at("vip_address")).back();
    }
    return addresses;
  };
  EXPECT_EQ(sorted("sort=vip_address"), "123");
  EXPECT_EQ(sorted("sort=vip_address:desc"), "321");
  EXPECT_EQ(sorted("sort=name:desc,vip_address:asc"), "132");
  EXPECT_EQ(sorted("sort=name:DESC"), "312");
  EXPECT_EQ(sorted("sort_key=name,vip_address&sort_dir=asc,desc"), "231");
  EXPECT_EQ(sorted("sort=created_at:desc"), "123");
  EXPECT_EQ(sorted("sort=name&sort_key=vip_address"), "231") << "sort wins";
}

TEST_F(Lists, numbers_sort_as_numbers) {
  const auto load_balancer = create_load_balancer();
  for (int port : {443, 80, 8080}) create_listener(load_balancer, port);
  EXPECT_EQ(names("/v2/lbaas/listeners?sort=protocol_port", "listeners"),
            "80_listener 443_listener 8080_listener");
}

TEST_F(Lists, what_cannot_be_sorted_or_paged_is_named) {
  const auto fault = [&](const std::string& query) {
    const auto answer = get("/v2/lbaas/pools?" + query);
    EXPECT_EQ(answer.status, 400);
    const auto* problem = answer.json.as_object().if_contains("description");
    return problem ? text(*problem) : answer.fault();
  };
  EXPECT_EQ(fault("sort=colour"), "Supplied sort key 'colour' is not valid.");
  EXPECT_EQ(fault("sort=members"), "Supplied sort key 'members' is not valid.");
  EXPECT_EQ(fault("sort=name:Up"), "Supplied sort direction 'up' is not valid.");
  EXPECT_EQ(fault("limit=x"), "Supplied pagination limit 'x' is not valid.");
  EXPECT_EQ(fault("marker=x"), "Supplied pagination marker 'x' is not valid.");
}

class Pages : public Lists {
 protected:
  Pages() {
    for (auto name : {"a", "b", "c", "d", "e"}) {
      create_load_balancer(std::string("10.0.0.") + std::to_string(*name - 'a' + 1), name);
    }
  }

  std::string page(const std::string& url) { return names(url, "loadbalancers"); }
  // The target of the page's link; empty if there is none.
  std::string link(const std::string& url, const std::string& rel) {
    const auto answer = get(url);
    for (const auto& entry : answer.json.at("loadbalancers_links").as_array()) {
      if (text(entry.at("rel")) == rel) return text(entry.at("href"));
    }
    return {};
  }
  static std::string path_of(const std::string& url) { return url.substr(url.find("/v2")); }

  const std::string url_ = "/v2/lbaas/loadbalancers";
};

TEST_F(Pages, next_links_lead_through_the_whole_list_and_end) {
  auto url = url_ + "?limit=2&sort=name:desc";
  EXPECT_EQ(page(url), "e d");
  url = path_of(link(url, "next"));
  EXPECT_EQ(page(url), "c b");
  url = path_of(link(url, "next"));
  EXPECT_EQ(page(url), "a");
  EXPECT_EQ(link(url, "next"), "");
}

TEST_F(Pages, previous_links_lead_back) {
  const auto second = path_of(link(url_ + "?limit=2", "next"));
  const auto third = path_of(link(second, "next"));
  EXPECT_EQ(page(third), "e");
  EXPECT_EQ(page(path_of(link(third, "previous"))), "c d");
  EXPECT_EQ(page(path_of(link(second, "previous"))), "a b");
  EXPECT_EQ(link(url_ + "?limit=2", "previous"), "");
}

TEST_F(Pages, a_list_without_a_limit_has_no_links) {
  EXPECT_EQ(page(url_), "a b c d e");
  EXPECT_EQ(link(url_, "next"), "");
  EXPECT_EQ(page(url_ + "?limit=0"), "a b c d e");
}

TEST_F(Pages, filters_hold_on_every_page) {
  const auto first = url_ + "?limit=2&admin_state_up=True&fields=name&fields=id";
  put(url_ + "/" + text(get(url_ + "?name=c").json.at("loadbalancers").at(0).at("id")),
      R"({"loadbalancer": {"admin_state_up": false}})");
  EXPECT_EQ(page(first), "a b");
  EXPECT_EQ(page(path_of(link(first, "next"))), "d e");
  EXPECT_EQ(get(path_of(link(first, "next"))).json.at("loadbalancers").at(0).as_object().size(),
            2U);
}

TEST_F(Lists, fields_cut_a_single_object_down_too) {
  const auto id = create_load_balancer("10.0.0.1", "a");
  EXPECT_EQ(get("/v2/lbaas/loadbalancers/" + id + "?fields=name").response.body,
            R"({"loadbalancer":{"name":"a"}})");
}

}  // namespace
}  // namespace sluice::api
