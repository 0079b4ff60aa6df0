// Events: recorded with their authors, kept and read.
#include <set>

#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class EventsTest : public ApiTest {
 protected:
  boost::json::array shown(const std::string& query = "") {
    const auto answer = get("/v1/events" + query);
    EXPECT_EQ(answer.status, 200U) << answer.response.body;
    return answer.json.at("events").as_array();
  }
};

TEST_F(EventsTest, each_change_of_an_object_is_told_with_its_attributes_before_and_after) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto member = create_member(pool);
  const auto url = "/v2/lbaas/pools/" + pool + "/members/" + member;
  const auto seen = events_.last();
  ASSERT_EQ(put(url, R"({"member": {"weight": 7, "name": "renamed"}})").status, 200U);
  ASSERT_EQ(del(url).status, 204U);
  const auto events = shown("?after=" + std::to_string(seen));
  ASSERT_EQ(events.size(), 2U) << text(events);
  EXPECT_EQ(events[0].at("kind"), "change");
  EXPECT_EQ(text(events[0].at("before")), R"({"name":"member_10.0.0.4","weight":1})");
  EXPECT_EQ(text(events[0].at("after")), R"({"name":"renamed","weight":7})");
  EXPECT_EQ(text(events[0].at("object").at("id")), member);
  EXPECT_EQ(events[0].at("object").at("type"), "member");
  EXPECT_EQ(text(events[0].at("message")), "updated Member renamed (" + member +
                                               "): name member_10.0.0.4 -> renamed, weight 1 -> 7");
  EXPECT_EQ(text(events[1].at("message")), "deleted Member renamed (" + member + ")");
  EXPECT_EQ(events[1].at("before").at("address"), "10.0.0.4");
}

TEST_F(EventsTest, a_batch_tells_each_object_that_it_changed) {
  const auto answer = post("/v1/batch", R"({"requests": [
      {"method": "POST", "path": "/v2/lbaas/loadbalancers",
       "body": {"loadbalancer": {"name": "one", "vip_address": "10.0.0.1"}}},
      {"method": "POST", "path": "/v2/lbaas/loadbalancers",
       "body": {"loadbalancer": {"name": "two", "vip_address": "10.0.0.2"}}}]})");
  ASSERT_EQ(answer.status, 200U) << answer.response.body;
  std::set<std::string> names;
  for (const auto& event : shown()) names.insert(text(event.at("object").at("name")));
  EXPECT_EQ(names, (std::set<std::string>{"one", "two"}));
}

TEST_F(EventsTest, a_change_that_was_refused_or_rehearsed_changed_nothing) {
  post("/v2/lbaas/loadbalancers", R"({"loadbalancer": {"vip_address": "x"}})");
  post("/v1/batch", R"({"dry_run": true, "requests": [{"method": "POST",
      "path": "/v2/lbaas/loadbalancers", "body": {"loadbalancer": {"vip_address": "10.0.0.1"}}}]})");
  EXPECT_EQ(text(shown()), "[]");
}

TEST_F(EventsTest, the_list_goes_on_behind_a_number_and_forgets_the_oldest) {
  for (std::size_t i = 0; i < Events::capacity + 10; ++i) {
    events_.add({.kind = i % 2 ? "health" : "denied",
                 .message = std::to_string(i),
                 .object = {},
                 .before = {},
                 .after = {}});
  }
  const auto first = shown("?limit=1");
  EXPECT_EQ(first[0].at("number"), 11);
  const auto next = shown("?after=11&limit=2");
  ASSERT_EQ(next.size(), 2U);
  EXPECT_EQ(next[0].at("number"), 12);
  EXPECT_EQ(shown("?kind=health&limit=1")[0].at("number"), 12);
  EXPECT_EQ(text(shown("?after=" + std::to_string(events_.last()))), "[]");
  EXPECT_EQ(shown("?after=999999&limit=1")[0].at("number"), 11) << "from before a restart";
  EXPECT_EQ(get("/v1/events?after=x").status, 400U);
  EXPECT_EQ(get("/v1/events?since=1").status, 400U);
}

}  // namespace
}  // namespace sluice::api
