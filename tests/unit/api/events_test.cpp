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

Event happening(std::string kind, std::string message) {
  return {.kind = std::move(kind),
          .message = std::move(message),
          .object = {},
          .before = {},
          .after = {}};
}

Event about(std::string kind, const std::string& member, const std::string& project = "ours") {
  auto event = happening(std::move(kind), member + " is down");
  event.object = {{"type", "member"}, {"id", member}, {"name", ""}, {"project_id", project}};
  return event;
}

std::vector<std::uint64_t> numbers(const boost::json::array& events) {
  std::vector<std::uint64_t> all;
  for (const auto& event : events) all.push_back(event.at("number").to_number<std::uint64_t>());
  return all;
}

using Numbers = std::vector<std::uint64_t>;

TEST_F(EventsTest, the_newest_are_shown_or_those_behind_a_number) {
  for (int i = 1; i <= 5; ++i) {
    events_.add(happening(i % 2 ? "health" : "denied", std::to_string(i)));
  }
  EXPECT_EQ(numbers(shown()), (Numbers{1, 2, 3, 4, 5}));
  EXPECT_EQ(numbers(shown("?limit=2")), (Numbers{4, 5}));
  EXPECT_EQ(numbers(shown("?limit=2&before=4")), (Numbers{2, 3}));
  EXPECT_EQ(numbers(shown("?after=0&limit=2")), (Numbers{1, 2}));
  EXPECT_EQ(numbers(shown("?after=2&kind=health")), (Numbers{3, 5}));
  EXPECT_EQ(numbers(shown("?limit=0")), Numbers{});
  EXPECT_EQ(get("/v1/events?after=0&limit=2").json.at("last"), 2) << "where the next page begins";
  EXPECT_EQ(get("/v1/events?after=0&kind=denied").json.at("last"), 5) << "nothing behind it";
  EXPECT_EQ(get("/v1/events?after=5").json.at("last"), 5);
  EXPECT_EQ(numbers(shown("?after=999999&limit=1")), (Numbers{1})) << "a number of another store";
  for (const auto* wrong : {"after=x", "after=-1", "before=1e3", "limit=", "since=1", "kind=chance",
                            "type=router", "wait=soon"}) {
    EXPECT_EQ(get("/v1/events?" + std::string(wrong)).status, 400U) << wrong;
  }
}

TEST_F(EventsTest, those_of_one_object_are_found_by_its_id_or_name_also_when_it_is_gone) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto member = create_member(pool);
  ASSERT_EQ(del("/v2/lbaas/pools/" + pool + "/members/" + member).status, 204U);
  EXPECT_EQ(shown("?object=" + member).size(), 2U);
  EXPECT_EQ(text(shown("?object=member_10.0.0.4&limit=1")[0].at("message")),
            "deleted Member member_10.0.0.4 (" + member + ")");
  EXPECT_EQ(shown("?type=pool").size(), 1U);
  EXPECT_EQ(shown("?object=nobody").size(), 0U);
}

TEST_F(EventsTest, what_one_request_did_is_found_by_its_id) {
  const std::string id = "req-11111111-1111-4111-8111-111111111111";
  api::Request request{"POST", "/v1/batch", R"({"requests": [
      {"method": "POST", "path": "/v2/lbaas/loadbalancers",
       "body": {"loadbalancer": {"vip_address": "10.0.0.1"}}},
      {"method": "POST", "path": "/v2/lbaas/loadbalancers",
       "body": {"loadbalancer": {"vip_address": "10.0.0.2"}}}]})"};
  request.id = id;
  create_load_balancer();
  std::string answered;
  const Context context{controller(), "project", events_};
  api::answer(context, request, [&](const Response& response) { answered = response.request_id; });
  EXPECT_EQ(answered, id);
  EXPECT_EQ(shown("?request_id=" + id).size(), 2U);
  EXPECT_EQ(shown("?request_id=req-2").size(), 0U);
  EXPECT_EQ(store().events({.request_id = id}).value().size(), 2U);
}

TEST_F(EventsTest, a_change_is_in_the_store_with_the_number_that_it_is_shown_with) {
  who_ = {.name = "alice", .peer = "192.0.2.7:50514"};
  create_load_balancer();
  const auto seen = shown().at(0).as_object();
  const auto stored = store().events({}).value();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(render(event_of(stored[0])), seen);
  EXPECT_EQ(seen.at("who"), "alice");
  EXPECT_EQ(stored[0].project_id, text(seen.at("object").at("project_id")));
}

TEST_F(EventsTest, what_happened_before_a_restart_is_still_there) {
  create_load_balancer();
  events_.add(about("health", "web"));
  controller().store_notes();
  const auto before = shown();
  Events later;
  later.take_stored(store().events({.limit = Events::capacity}).value());
  boost::json::array after;
  for (const auto* event : later.find({})) after.push_back(render(*event));
  EXPECT_EQ(after, before);
  later.add(about("health", "web"));
  EXPECT_GT(later.last(), events_.last() + 100) << "numbers that a kill took are not given again";
  EXPECT_EQ(later.find({.after = events_.last() + 1}).size(), 1U)
      << "also for who has seen events that were lost";
}

TEST_F(EventsTest, what_no_longer_stands_in_memory_comes_from_the_store) {
  const auto more = Events::capacity + 500;
  for (std::size_t i = 1; i <= more; ++i) {
    events_.add(happening(i % 2 ? "health" : "denied", std::to_string(i)));
    if (i == more - 2) controller().store_notes();  // the last two are known here only
  }
  EXPECT_EQ(numbers(shown("?after=0&limit=2")), (Numbers{1, 2}));
  EXPECT_EQ(numbers(shown("?before=500&limit=2")), (Numbers{498, 499}));
  EXPECT_EQ(numbers(shown("?after=100&kind=health&limit=2")), (Numbers{101, 103}));
  EXPECT_EQ(get("/v1/events?after=0&limit=2").json.at("last"), 2);
  std::size_t all = 0;
  for (std::uint64_t last = 0;;) {
    const auto page = numbers(shown("?after=" + std::to_string(last)));
    if (page.empty()) break;
    for (const auto number : page) EXPECT_EQ(number, ++all);
    last = page.back();
  }
  EXPECT_EQ(all, more);
  std::uint64_t before = more + 1;
  for (;;) {
    const auto page = numbers(shown("?before=" + std::to_string(before) + "&limit=999"));
    if (page.empty()) break;
    EXPECT_EQ(page.back(), before - 1);
    before = page.front();
  }
  EXPECT_EQ(before, 1U);
}

// A disk that takes its time: the change has its number before it is stored.
TEST_F(EventsTest, a_follower_misses_nothing_when_something_happens_while_a_change_is_stored) {
  auto change = happening("change", "updated");
  events_.give_number(change);
  events_.add(about("health", "web"));
  const auto seen = numbers(shown("?after=0"));
  EXPECT_EQ(seen, (Numbers{2})) << "at once";
  events_.tell(change);
  EXPECT_EQ(numbers(shown("?after=2")), (Numbers{1}));
  EXPECT_EQ(numbers(shown("?after=1")), Numbers{});
}

TEST_F(EventsTest, an_object_that_flaps_displaces_nothing_and_its_last_state_is_told) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < 100; ++i) {
    auto event = about("health", "web");
    event.message = "web is " + std::to_string(i);
    events_.add(event, start + std::chrono::milliseconds(i));
    events_.add(about("health", "other" + std::to_string(i)), start);
  }
  EXPECT_EQ(shown("?object=web").size(), EventLimit::most);
  EXPECT_EQ(shown().size(), EventLimit::most + 100) << "nobody else pays for it";
  events_.tick(start + EventLimit::span / 2);
  EXPECT_EQ(shown("?object=web").size(), EventLimit::most);
  events_.tick(start + EventLimit::span);
  ASSERT_EQ(shown("?object=web").size(), EventLimit::most + 1);
  EXPECT_EQ(text(shown("?object=web&limit=1")[0].at("message")),
            "web is 99 (79 events like it were dropped before it)");
  EXPECT_EQ(events_.dropped(), 79U);
  events_.add(about("health", "web"), start + EventLimit::span);
  EXPECT_EQ(shown("?object=web").size(), EventLimit::most + 2) << "a new minute";
}

TEST_F(EventsTest, who_waits_is_answered_when_something_happens_or_the_time_is_over) {
  const Context context{controller(), "project", events_};
  std::vector<std::string> answers;
  const auto wait = [&](const std::string& query) {
    api::answer(context, {"GET", "/v1/events?" + query, ""}, [&](const Response& response) {
      answers.push_back(text(boost::json::parse(response.body).at("events")));
    });
  };
  const auto start = std::chrono::steady_clock::now();
  wait("after=0");
  EXPECT_EQ(answers.size(), 1U) << "without wait at once";
  wait("after=0&wait=20");
  wait("after=0&wait=20&kind=denied");
  wait("after=0&wait=5");
  EXPECT_EQ(answers.size(), 1U);
  events_.tick(start + std::chrono::seconds(10));
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1], "[]");
  events_.add(about("health", "web"));
  ASSERT_EQ(answers.size(), 3U) << "the other one wants to hear of something else";
  EXPECT_NE(answers[2].find("web is down"), std::string::npos);
  wait("after=0&wait=20");
  EXPECT_EQ(answers.size(), 4U) << "there is something already";
  events_.tick(start + std::chrono::seconds(60));
  EXPECT_EQ(answers.size(), 5U);
}

TEST_F(EventsTest, a_member_sees_the_events_of_its_project_and_of_no_other) {
  events_.add(about("health", "web", "ours"));
  events_.add(about("health", "theirs", "theirs"));
  events_.add(happening("attachment", "attached to eth0"));
  auto by_admin = about("change", "web", "ours");
  by_admin.who = "root";
  by_admin.peer = "192.0.2.7:50514";
  events_.add(by_admin);
  ASSERT_EQ(put("/v2/lbaas/quotas/theirs", R"({"quota": {"pool": 1}})").status, 202U);
  ASSERT_EQ(put("/v2/lbaas/quotas/ours", R"({"quota": {"pool": 1}})").status, 202U);
  controller().store_notes();
  who_ = {.name = "ci", .role = Role::member, .project = "ours"};
  const auto events = shown();
  ASSERT_EQ(events.size(), 3U) << text(events);
  for (const auto& event : events) EXPECT_EQ(event.at("object").at("project_id"), "ours");
  EXPECT_EQ(events[1].at("peer"), "") << "where operators have their machines is theirs to know";
  EXPECT_EQ(shown("?object=theirs").size(), 0U);
  for (std::size_t i = 0; i <= Events::capacity; ++i) {
    events_.add(happening("attachment", std::to_string(i)));
  }
  EXPECT_EQ(shown().size(), 3U) << "nor does the store tell it more";
}

}  // namespace
}  // namespace sluice::api
