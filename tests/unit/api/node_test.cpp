// The node: what it announces to routers, and its drain.
#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>

#include "api_fixture.hpp"

namespace sluice::api {
namespace {

using testing::HasSubstr;

class NodeTest : public ApiTest {
 protected:
  // Sends a request to a node that announces routes. Its loop doesn't run: the kernel has none.
  Answer send_to_announcer(const std::string& method, const std::string& body = "") {
    Context context{controller(), "project", events_};
    context.vip_routes = &vip_routes_;
    context.node = "lb1";
    return send_in(context, {method, "/v1/node", body});
  }
  static std::string state(const Answer& answer) {
    return std::string(answer.json.at("node").at("state").as_string());
  }

  boost::asio::io_context loop_;
  control::VipRoutes vip_routes_{
      loop_,
      controller(),
      std::move(*network::Routes::open()),
      {.node = "lb1", .interfaces = {}},
      {.somebody_changes = [] { return false; }, .note = [](const std::string&) {}}};
};

TEST_F(NodeTest, without_announcements_it_can_not_be_drained) {
  const auto shown = get("/v1/node");
  EXPECT_EQ(shown.status, 200U);
  EXPECT_EQ(state(shown), "LOCAL");
  const auto refused = put("/v1/node", R"({"node": {"drained": true}})");
  EXPECT_EQ(refused.status, 409U);
  EXPECT_THAT(refused.response.body, HasSubstr("--announce-routes"));
  EXPECT_EQ(put("/v1/node", R"({"node": {"drained": false}})").status, 200U);
}

TEST_F(NodeTest, a_drain_is_desired_state_until_it_is_ended) {
  EXPECT_EQ(state(send_to_announcer("GET")), "ANNOUNCING");
  const auto draining = send_to_announcer("PUT", R"({"node": {"drained": true}})");
  ASSERT_EQ(draining.status, 200U);
  EXPECT_EQ(state(draining), "DRAINING");
  EXPECT_EQ(draining.json.at("node").at("seconds_until_withdrawal").to_number<int>(), 10);
  const auto since = controller().model().drained_nodes.at("lb1");
  EXPECT_EQ(send_to_announcer("PUT", R"({"node": {"drained": true}})").status, 200U);
  EXPECT_EQ(controller().model().drained_nodes.at("lb1"), since);
  EXPECT_EQ(send_to_announcer("PUT", R"({"node": {}})").status, 200U);
  EXPECT_EQ(controller().model().drained_nodes.at("lb1"), since) << "nothing was asked for";
  const auto ended = send_to_announcer("PUT", R"({"node": {"drained": false}})");
  EXPECT_EQ(state(ended), "ANNOUNCING");
  EXPECT_TRUE(controller().model().drained_nodes.empty());
}

TEST_F(NodeTest, one_that_was_drained_while_it_was_away_announces_nothing_when_it_comes_back) {
  std::string lacks = "the fleet's state";
  boost::asio::io_context loop;
  control::VipRoutes routes(loop, controller(), std::move(*network::Routes::open()),
                            {.node = "lb1", .interfaces = {}},
                            {.somebody_changes = [] { return false; },
                             .note = [](const std::string&) {},
                             .lacks = [&] { return lacks; }});
  EXPECT_EQ(routes.announcing().state, "JOINING");
  EXPECT_EQ(routes.announcing().reason, "waits for the fleet's state");
  // Another node has drained it, which comes with the fleet's state.
  ASSERT_EQ(send_to_announcer("PUT", R"({"node": {"drained": true}})").status, 200U);
  lacks.clear();
  loop.run_for(std::chrono::milliseconds(200));
  EXPECT_EQ(routes.announcing().state, "DRAINED");
}

TEST_F(NodeTest, other_attributes_are_refused) {
  EXPECT_EQ(send_to_announcer("PUT", R"({"node": {"drained": "maybe"}})").status, 400U);
  EXPECT_EQ(send_to_announcer("PUT", R"({"node": {"name": "x"}})").status, 400U);
  EXPECT_EQ(send_to_announcer("PUT", "{}").status, 400U);
}

}  // namespace
}  // namespace sluice::api
