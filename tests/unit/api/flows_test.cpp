// Connections and explanations over the API.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

IpAddress ip(const char* text) {
  return boost::asio::ip::make_address(text);
}

class FlowsTest : public ApiTest {
 protected:
  FlowsTest() {
    for (int i = 1; i <= 3; ++i) {
      control::Flow flow;
      flow.client = {ip("192.0.2.7"), static_cast<std::uint16_t>(50000 + i)};
      flow.vip = {ip("10.0.0.16"), 80};
      flow.member = {ip("10.0.0.4"), 8080};
      flow.listener_id = listener_;
      flow.state = "established";
      flow.idle = std::chrono::seconds(60 * i);
      data_plane_.live_flows.push_back(flow);
    }
    data_plane_.live_flows[2].client.address = ip("198.51.100.1");
  }
  const Uuid listener_ = new_uuid();
};

TEST_F(FlowsTest, are_listed_with_their_ends_and_idle_time) {
  const auto answer = get("/v1/flows");
  EXPECT_EQ(answer.status, 200U);
  EXPECT_FALSE(answer.json.at("more").as_bool());
  const auto& flows = answer.json.at("flows").as_array();
  ASSERT_EQ(flows.size(), 3U);
  const auto& first = flows[0].as_object();
  EXPECT_EQ(text(first.at("client")), "192.0.2.7:50001");
  EXPECT_EQ(text(first.at("vip")), "10.0.0.16:80");
  EXPECT_EQ(text(first.at("member")), "10.0.0.4:8080");
  EXPECT_EQ(text(first.at("idle")), "60");
  EXPECT_EQ(text(first.at("listener_id")), to_string(listener_));
  EXPECT_TRUE(first.at("pool_id").is_null());
}

TEST_F(FlowsTest, are_filtered_and_cut) {
  EXPECT_EQ(get("/v1/flows?client=192.0.2.0/24").json.at("flows").as_array().size(), 2U);
  EXPECT_EQ(
      get("/v1/flows?listener_id=" + to_string(new_uuid())).json.at("flows").as_array().size(), 0U);
  const auto cut = get("/v1/flows?limit=1");
  EXPECT_EQ(cut.json.at("flows").as_array().size(), 1U);
  EXPECT_TRUE(cut.json.at("more").as_bool());
}

TEST_F(FlowsTest, clients_are_counted_and_those_with_the_most_come_first) {
  data_plane_.live_flows[0].state = "closed";
  control::Flow another = data_plane_.live_flows[2];
  another.state = "opening";
  data_plane_.live_flows.push_back(another);
  const auto answer = get("/v1/clients");
  ASSERT_EQ(answer.status, 200U) << answer.response.body;
  EXPECT_EQ(boost::json::serialize(answer.json.at("clients")),
            R"([{"client":"198.51.100.1","connections":2,"opening":1,"closed":0},)"
            R"({"client":"192.0.2.7","connections":1,"opening":0,"closed":1}])");
  EXPECT_EQ(text(answer.json.at("all_clients")), "2");
  EXPECT_FALSE(answer.json.at("more").as_bool());
  EXPECT_EQ(get("/v1/clients?limit=1&client=192.0.2.0/24").json.at("clients").as_array().size(),
            1U);
  EXPECT_EQ(get("/v1/clients?colour=red").status, 400U);
}

TEST_F(FlowsTest, a_filter_that_makes_no_sense_is_named) {
  for (const auto* query :
       {"client=10.0.0.0/33", "client=web", "pool_id=x", "limit=0", "limit=many", "colour=red"}) {
    const auto answer = get(std::string("/v1/flows?") + query);
    EXPECT_EQ(answer.status, 400U) << query;
    EXPECT_NE(answer.response.body.find(std::string(query).substr(0, 5)), std::string::npos);
  }
}

TEST_F(FlowsTest, flushing_needs_a_filter_or_the_word_all) {
  EXPECT_EQ(del("/v1/flows").status, 400U);
  EXPECT_EQ(data_plane_.live_flows.size(), 3U);
  EXPECT_EQ(text(del("/v1/flows?client=192.0.2.7").json.at("flushed")), "2");
  EXPECT_EQ(text(del("/v1/flows?all=true").json.at("flushed")), "1");
}

TEST_F(FlowsTest, an_explanation_names_the_objects) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  data_plane_.answer = [&](const control::Question& question) -> Result<control::Explanation> {
    EXPECT_EQ(question.from, (control::Endpoint{ip("192.0.2.7"), 50514}));
    EXPECT_EQ(question.to, (control::Endpoint{ip("10.0.0.16"), 80}));
    control::Explanation out{.verdict = "forward", .reason = "flow_created", .sentence = "New."};
    out.pool_id = *parse_uuid(pool);
    out.destination = control::Endpoint{ip("10.0.0.4"), 80};
    return out;
  };
  const auto answer = get("/v1/explain?from=192.0.2.7:50514&to=10.0.0.16:80&protocol=TCP");
  ASSERT_EQ(answer.status, 200U) << answer.response.body;
  EXPECT_EQ(text(answer["explanation"].at("verdict")), "forward");
  EXPECT_EQ(text(answer["explanation"].at("pool")), "80_pool");
  EXPECT_EQ(text(answer["explanation"].at("destination")), "10.0.0.4:80");
  EXPECT_TRUE(answer["explanation"].at("member").is_null());
}

TEST_F(FlowsTest, a_data_plane_that_cannot_explain_itself_is_501) {
  EXPECT_EQ(get("/v1/explain?from=192.0.2.7:1&to=10.0.0.16:80").status, 501U);
}

TEST_F(FlowsTest, others_are_answered_while_the_slow_lane_is_busy) {
  std::function<void()> held;
  data_plane_.hold_inspection = [&](auto work, const control::Asker&) {
    held = std::move(work);
    return true;
  };
  const auto pool = create_pool(create_listener(create_load_balancer()));
  data_plane_.answer = [&](const control::Question&) -> Result<control::Explanation> {
    control::Explanation out{.verdict = "forward", .reason = "flow_created", .sentence = "New."};
    out.pool_id = *parse_uuid(pool);
    return out;
  };
  Response late;
  const Context context{controller(), "", events_};
  answer(context, {"GET", "/v1/explain?from=192.0.2.7:1&to=10.0.0.16:80", ""},
         [&](Response response) { late = std::move(response); });
  EXPECT_EQ(put("/v2/lbaas/pools/" + pool, R"({"pool": {"name": "renamed"}})").status, 200U);
  EXPECT_EQ(late.body, "");
  held();
  EXPECT_EQ(late.status, 200U);
  EXPECT_NE(late.body.find(R"("pool":"renamed")"), std::string::npos)
      << "the model is looked at when the answer is told: " << late.body;
}

TEST_F(FlowsTest, a_slow_lane_that_is_full_is_503) {
  data_plane_.hold_inspection = [](auto, const control::Asker&) { return false; };
  const auto answer = get("/v1/flows");
  EXPECT_EQ(answer.status, 503U);
  EXPECT_NE(answer.response.body.find("waiting already"), std::string::npos);
}

TEST_F(FlowsTest, what_is_thrown_on_the_slow_lane_is_an_answer) {
  data_plane_.answer = [](const control::Question&) -> Result<control::Explanation> {
    throw std::runtime_error("out of luck");
  };
  const auto answer = get("/v1/explain?from=192.0.2.7:1&to=10.0.0.16:80");
  EXPECT_EQ(answer.status, 500U);
  EXPECT_NE(answer.fault().find("out of luck"), std::string::npos);
}

TEST_F(FlowsTest, a_question_without_both_ends_is_400) {
  for (const auto* query :
       {"from=192.0.2.7:1", "to=10.0.0.16:80", "from=x&to=10.0.0.16:80",
        "from=[::1]:1&to=10.0.0.16:80", "from=192.0.2.7:1&to=10.0.0.16:80&protocol=GRE"}) {
    EXPECT_EQ(get(std::string("/v1/explain?") + query).status, 400U) << query;
  }
}

}  // namespace
}  // namespace sluice::api
