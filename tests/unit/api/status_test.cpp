// Status tree, statistics, drops, version discovery, and what happens when the data plane refuses.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

using Status = ApiTest;

TEST_F(Status, the_tree_holds_everything_below_the_listeners) {
  const auto load_balancer = create_load_balancer();
  const auto listener = create_listener(load_balancer);
  const auto pool = create_pool(listener);
  const auto member = create_member(pool);
  const auto monitor = create_monitor(pool);
  auto answer = get("/v2.0/lbaas/loadbalancers/" + load_balancer + "/status");
  ASSERT_EQ(answer.status, 200);
  const auto& root = answer.json.at("statuses").at("loadbalancer");
  EXPECT_EQ(text(root.at("id")), load_balancer);
  EXPECT_EQ(root.at("name"), "lb_test_1");
  EXPECT_EQ(root.at("provisioning_status"), "ACTIVE");
  const auto& listener_entry = root.at("listeners").at(0);
  EXPECT_EQ(text(listener_entry.at("id")), listener);
  const auto& pool_entry = listener_entry.at("pools").at(0);
  EXPECT_EQ(text(pool_entry.at("id")), pool);
  EXPECT_EQ(text(pool_entry.at("health_monitor").at("id")), monitor);
  EXPECT_EQ(pool_entry.at("health_monitor").at("type"), "HTTP");
  const auto& member_entry = pool_entry.at("members").at(0);
  EXPECT_EQ(text(member_entry.at("id")), member);
  EXPECT_EQ(member_entry.at("address"), "10.0.0.4");
  EXPECT_EQ(member_entry.at("protocol_port"), 80);
  EXPECT_EQ(get("/v2/lbaas/loadbalancers/" + load_balancer + "/statuses").response.body,
            answer.response.body);
}

TEST_F(Status, a_probed_member_changes_the_status_of_all_above_it) {
  const auto load_balancer = create_load_balancer();
  const auto pool = create_pool(create_listener(load_balancer));
  create_monitor(pool);
  const auto one = create_member(pool, "10.0.0.4");
  const auto two = create_member(pool, "10.0.0.6");
  controller().set_health({{*parse_uuid(one), model::Health::up}});
  controller().set_health({{*parse_uuid(two), model::Health::down}});
  const auto members = get("/v2/lbaas/pools/" + pool + "/members").json.at("members");
  EXPECT_EQ(members.at(0).at("operating_status"), "ONLINE");
  EXPECT_EQ(members.at(1).at("operating_status"), "ERROR");
  EXPECT_EQ(get("/v2/lbaas/pools/" + pool)["pool"].at("operating_status"), "DEGRADED");
  EXPECT_EQ(get("/v2/lbaas/loadbalancers/" + load_balancer)["loadbalancer"].at("operating_status"),
            "DEGRADED");
}

TEST_F(Status, a_load_balancers_statistics_are_the_sum_over_its_listeners) {
  const auto load_balancer = create_load_balancer();
  const auto http = create_listener(load_balancer, 80);
  const auto https = create_listener(load_balancer, 443);
  control::Counters counters;
  counters.bytes_in = 100;
  counters.bytes_out = 1000;
  counters.flows_opened = 7;
  counters.flows_ended = 5;
  counters.flows_refused = 1;
  data_plane_.listener_counts[*parse_uuid(http)] = counters;
  data_plane_.listener_counts[*parse_uuid(https)] = counters;
  EXPECT_EQ(get("/v2.0/lbaas/listeners/" + http + "/stats").response.body,
            R"({"stats":{"active_connections":2,"bytes_in":100,"bytes_out":1000,)"
            R"("request_errors":1,"total_connections":7}})");
  EXPECT_EQ(get("/v2.0/lbaas/loadbalancers/" + load_balancer + "/stats").response.body,
            R"({"stats":{"active_connections":4,"bytes_in":200,"bytes_out":2000,)"
            R"("request_errors":2,"total_connections":14}})");
}

TEST_F(Status, counters_are_those_of_every_listener_member_and_reason) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto member = create_member(pool);
  data_plane_.reasons = {{"no_listener", "drop", "The VIP has no listener.", 3}};
  data_plane_.member_counts[*parse_uuid(member)].flows_opened = 7;
  data_plane_.tables = {{"flows4", 5, 1'000}};
  const auto shown = get("/v1/counters")["counters"];
  const auto& health = shown.at("health");
  EXPECT_EQ(text(health.at("store").at("failure")), "");
  EXPECT_EQ(text(health.at("tables").at(0)),
            R"({"table":"flows4","connections":5,"capacity":1000})");
  ASSERT_EQ(shown.at("listeners").as_array().size(), 1U);
  EXPECT_EQ(text(shown.at("listeners").at(0).at("owner")), "lb_test_1");
  ASSERT_EQ(shown.at("members").as_array().size(), 1U);
  EXPECT_EQ(shown.at("members").at(0).at("total_connections"), 7);
  EXPECT_EQ(text(shown.at("members").at(0).at("owner")), "80_pool");
  EXPECT_EQ(shown.at("reasons").at(0).at("packets"), 3);
}

TEST_F(Status, drops_lists_every_reason_with_its_sentence) {
  data_plane_.reasons = {{"no_listener", "drop", "The VIP has no listener.", 3}};
  EXPECT_EQ(get("/v1/drops").response.body,
            R"({"reasons":[{"label":"no_listener","verdict":"drop",)"
            R"("description":"The VIP has no listener.","packets":3}]})");
}

TEST_F(Status, the_versions_name_the_place_that_was_asked) {
  Request request{"GET", "/", ""};
  request.host = "127.0.0.1:9876";
  const auto answer = send(request);
  const auto& version = answer.json.at("versions").at(0);
  EXPECT_EQ(version.at("id"), "v2.0");
  EXPECT_EQ(version.at("links").at(0).at("href"), "http://127.0.0.1:9876/v2");
  EXPECT_EQ(get("/v2").json, "v2");
  EXPECT_EQ(get("/v2.0").json, "v2");
}

TEST_F(Status, a_change_that_the_data_plane_refuses_ends_in_error) {
  const auto load_balancer = create_load_balancer();
  data_plane_.veto = [](const control::Operation& operation) -> Result<void> {
    if (!std::holds_alternative<control::PutListener>(operation)) return {};
    return fail(ErrorKind::conflict, "listeners: the map is full (4096 entries)");
  };
  const auto listener = create_listener(load_balancer);
  EXPECT_EQ(get("/v2/lbaas/listeners/" + listener)["listener"].at("provisioning_status"), "ERROR");
  EXPECT_NE(text(get("/v2/lbaas/listeners/" + listener)["listener"].at("provisioning_error")), "");
}

// A data plane with a bug: it throws in the middle of a request.
class Throwing : public test::FakeDataPlane {
 public:
  Result<std::vector<control::ReasonCount>> reason_counters() override {
    throw std::runtime_error("out of luck");
  }
};

TEST(Handle, turns_an_exception_into_a_fault_and_tells_the_daemon) {
  const TemporaryDirectory directory;
  auto store = store::SqliteStore::open(directory.path());
  ASSERT_TRUE(store);
  Throwing data_plane;
  store::DirectWriter writer(*store);
  auto controller = control::Controller::start(store->load().value(), writer, data_plane);
  ASSERT_TRUE(controller);
  Events events;
  const auto response = handle({**controller, "project", events}, {"GET", "/v1/drops", ""});
  EXPECT_EQ(response.status, 500U);
  EXPECT_NE(response.body.find("\"faultcode\":\"Server\""), std::string::npos) << response.body;
  EXPECT_NE(response.body.find("out of luck"), std::string::npos);
  EXPECT_NE(response.internal_error.find("GET /v1/drops: internal error: out of luck"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::api
