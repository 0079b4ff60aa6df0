// A fleet: what the API shows of the other nodes.
#include <gmock/gmock.h>

#include "api/handlers/metrics.hpp"
#include "api_fixture.hpp"
#include "tests/support/fake_fleet.hpp"

namespace sluice::api {
namespace {

class FleetTest : public ApiTest {
 protected:
  Answer ask(const std::string& method, const std::string& target, const std::string& body = "") {
    Context context{controller(), "project", events_};
    context.fleet = &fleet_;
    context.node = "lb1";
    return send_in(context, {method, target, body});
  }
  std::string provisioning_status(const std::string& id) {
    const auto shown = ask("GET", "/v2.0/lbaas/loadbalancers/" + id);
    return std::string(shown.json.at("loadbalancer").at("provisioning_status").as_string());
  }

  test::FakeFleet fleet_;
};

TEST_F(FleetTest, an_object_is_active_when_it_is_at_all_nodes) {
  const auto id = create_load_balancer();
  EXPECT_EQ(provisioning_status(id), "ACTIVE");
  fleet_.there = {.pending = true, .error = ""};
  EXPECT_EQ(provisioning_status(id), "PENDING_UPDATE");
  const auto changed =
      put("/v2.0/lbaas/loadbalancers/" + id, R"({"loadbalancer": {"name": "another"}})");
  EXPECT_EQ(changed.status, 200U) << "what other nodes lack refuses no change";
  fleet_.there = {.pending = true, .error = "lb2: members: map is full"};
  EXPECT_EQ(provisioning_status(id), "ERROR");
  const auto shown = ask("GET", "/v2.0/lbaas/loadbalancers/" + id);
  EXPECT_EQ(shown.json.at("loadbalancer").at("provisioning_error"), "lb2: members: map is full");
}

TEST_F(FleetTest, answers_of_a_node_that_does_not_follow_are_marked) {
  EXPECT_TRUE(ask("GET", "/v1/cluster").response.headers.empty());
  fleet_.now.state = "CUT_OFF";
  const auto shown = ask("GET", "/v2.0/lbaas/loadbalancers");
  ASSERT_EQ(shown.response.headers.size(), 1U);
  EXPECT_EQ(shown.response.headers[0],
            (std::pair<std::string, std::string>{"X-Sluice-Fleet", "CUT_OFF"}));
}

TEST_F(FleetTest, nodes_are_listed_and_a_state_restored) {
  const auto nodes = ask("GET", "/v1/nodes").json.at("nodes").as_array();
  ASSERT_EQ(nodes.size(), 2U);
  EXPECT_EQ(nodes[1].at("applied_generation"), 6);
  EXPECT_EQ(ask("GET", "/v1/cluster").json.at("cluster").at("nodes"), 2);
  EXPECT_EQ(ask("GET", "/v1/cluster").json.at("cluster").at("probe"), "every");
  fleet_.now.probe = "spread";
  EXPECT_EQ(ask("GET", "/v1/cluster").json.at("cluster").at("probe"), "spread");
  EXPECT_EQ(ask("POST", "/v1/cluster/restore").status, 200U);
  fleet_.restored = fail(ErrorKind::conflict, "This node follows the state in etcd already.");
  EXPECT_EQ(ask("POST", "/v1/cluster/restore").status, 409U);
  fleet_.restored =
      tl::unexpected(Error{ErrorKind::system, "etcd can't be reached", "", EHOSTUNREACH});
  EXPECT_EQ(ask("POST", "/v1/cluster/restore").status, 503U);
}

TEST_F(FleetTest, any_node_drains_any_other) {
  fleet_.now.nodes[1].announcing = {"ANNOUNCING", "", 2, 1};
  const auto drain = R"({"node": {"drained": true}})", undrain = R"({"node": {"drained": false}})";
  const auto state = [](const Answer& answer) { return answer.json.at("node").at("state"); };
  EXPECT_EQ(state(ask("GET", "/v1/nodes/lb2")), "ANNOUNCING");
  const auto asked = ask("PUT", "/v1/nodes/lb2", drain);
  ASSERT_EQ(asked.status, 200U) << asked.response.body;
  EXPECT_EQ(state(asked), "DRAINING") << "before it has begun";
  EXPECT_TRUE(controller().model().drained_nodes.contains("lb2"));
  fleet_.now.nodes[1].announcing = {"DRAINED", "the node is drained", 0, 0};
  EXPECT_EQ(state(ask("GET", "/v1/nodes/lb2")), "DRAINED");
  EXPECT_EQ(ask("GET", "/v1/nodes").json.at("nodes").at(1).at("state"), "DRAINED");
  const auto ended = ask("PUT", "/v1/nodes/lb2", undrain);
  EXPECT_EQ(state(ended), "ANNOUNCING");
  EXPECT_EQ(ended.json.at("node").at("reason"), "") << "before it has heard";
  EXPECT_TRUE(controller().model().drained_nodes.empty());

  // The errors name the node, and what to do.
  const auto unknown = ask("PUT", "/v1/nodes/lb9", drain);
  EXPECT_EQ(unknown.status, 404U);
  EXPECT_THAT(unknown.response.body,
              testing::HasSubstr("No node is called lb9. (there are: lb1, lb2)"));
  EXPECT_EQ(ask("GET", "/v1/nodes/lb9").status, 404U);
  fleet_.now.nodes[1].announcing = {};
  const auto local = ask("PUT", "/v1/nodes/lb2", drain);
  EXPECT_EQ(local.status, 409U);
  EXPECT_THAT(local.response.body, testing::HasSubstr("Node lb2 does not announce its VIPs"));
  EXPECT_THAT(local.response.body, testing::HasSubstr("--announce-routes"));
}

TEST_F(FleetTest, nodes_of_a_standby_group_are_drained_without_routes) {
  fleet_.now.nodes[0].announcing.state = "ACTIVE";
  fleet_.now.nodes[1].announcing.state = "STANDBY";
  const auto state = [](const Answer& answer) { return answer.json.at("node").at("state"); };
  EXPECT_EQ(state(ask("GET", "/v1/node")), "ACTIVE");
  EXPECT_EQ(state(ask("GET", "/v1/nodes/lb2")), "STANDBY");
  const auto drain = R"({"node": {"drained": true}})";
  EXPECT_EQ(state(ask("PUT", "/v1/nodes/lb1", drain)), "DRAINING") << "until it has handed over";
  EXPECT_EQ(state(ask("PUT", "/v1/nodes/lb2", drain)), "DRAINED");
}

TEST_F(FleetTest, a_node_that_is_gone_is_shown_drained_and_removed) {
  fleet_.now.nodes.pop_back();
  fleet_.now.gone = {"lb2"};
  EXPECT_EQ(ask("GET", "/v1/nodes").json.at("nodes").at(1).at("state"), "GONE");
  const auto drained = ask("PUT", "/v1/nodes/lb2", R"({"node": {"drained": true}})");
  EXPECT_EQ(drained.status, 200U) << "for when it comes back";
  EXPECT_EQ(drained.json.at("node").at("state"), "GONE");
  EXPECT_EQ(ask("DELETE", "/v1/nodes/lb9").status, 404U);
  EXPECT_EQ(ask("DELETE", "/v1/nodes/lb2").status, 204U);
  EXPECT_EQ(fleet_.removed_nodes, std::vector<std::string>{"lb2"});
  EXPECT_TRUE(controller().model().drained_nodes.empty());
  fleet_.removed = fail(ErrorKind::conflict, "Node lb1 is live, so it can't be removed.");
  EXPECT_EQ(ask("DELETE", "/v1/nodes/lb1").status, 409U);
  EXPECT_EQ(del("/v1/nodes/lb2").status, 409U) << "of a node alone";
}

TEST_F(FleetTest, what_an_older_node_does_not_know_is_refused) {
  const auto body = R"({"loadbalancer": {"vip_address": "10.0.0.16"}})";
  fleet_.permitted = fail(ErrorKind::conflict, "Node lb2 has an older version.");
  const auto refused = ask("POST", "/v2.0/lbaas/loadbalancers", body);
  EXPECT_EQ(refused.status, 409U);
  EXPECT_THAT(refused.response.body, testing::HasSubstr("Node lb2 has an older version."));
  EXPECT_EQ(controller().model().load_balancers.size(), 0U);
  fleet_.permitted = {};
  EXPECT_EQ(ask("POST", "/v2.0/lbaas/loadbalancers", body).status, 201U);
}

TEST_F(FleetTest, statistics_are_the_fleets_sum) {
  const auto balancer = create_load_balancer();
  const auto listener = create_listener(balancer);
  const auto id = *parse_uuid(listener);
  data_plane_.listener_counts[id] = {.bytes_in = 1, .flows_opened = 3, .flows_ended = 1};
  fleet_.counts.nodes["lb2"].listeners[id] = {.bytes_in = 20, .flows_opened = 5};
  for (const auto& target :
       {"/v2.0/lbaas/listeners/" + listener, "/v2.0/lbaas/loadbalancers/" + balancer}) {
    const auto shown = ask("GET", target + "/stats");
    EXPECT_EQ(shown.json.at("stats").at("bytes_in"), 21) << target;
    EXPECT_EQ(shown.json.at("stats").at("active_connections"), 7);
    EXPECT_TRUE(shown.response.headers.empty());
    EXPECT_EQ(fleet_.asked, std::set<Uuid>{id});
    EXPECT_EQ(get(target + "/stats").json.at("stats").at("bytes_in"), 1) << "of a node alone";
  }
  fleet_.counts.missing = {"lb2", "lb3"};
  const auto headers = ask("GET", "/v2.0/lbaas/listeners/" + listener + "/stats").response.headers;
  ASSERT_EQ(headers.size(), 1U);
  EXPECT_EQ(headers[0], (std::pair<std::string, std::string>{"X-Sluice-Fleet-Missing", "lb2,lb3"}));
  EXPECT_EQ(ask("GET", "/v2.0/lbaas/listeners/" + to_string(new_uuid()) + "/stats").status, 404U);
}

TEST_F(FleetTest, another_node_is_asked_for_its_connections) {
  fleet_.counts.nodes["lb2"].connections = 40;
  EXPECT_EQ(ask("GET", "/v1/nodes/lb2").json.at("node").at("connections"), 40);
  fleet_.counts.missing = {"lb2"};
  EXPECT_TRUE(ask("GET", "/v1/nodes/lb2").json.at("node").at("connections").is_null());
}

TEST_F(FleetTest, a_members_status_is_the_majoritys_and_each_nodes_is_shown) {
  const auto listener = create_listener(create_load_balancer());
  const auto pool = create_pool(listener);
  const auto member = create_member(pool);
  const auto path = "/v2.0/lbaas/pools/" + pool + "/members/" + member;
  const auto shown = [&] { return ask("GET", path).json.at("member").as_object(); };
  EXPECT_FALSE(shown().contains("operating_status_by_node")) << "without a monitor";
  create_monitor(pool);
  const auto id = *parse_uuid(member);
  controller().set_health({{id, model::Health::up}});
  fleet_.judged = {{id, model::Health::down}};
  fleet_.found = {{"lb1", model::Health::up}, {"lb2", model::Health::down}, {"lb3", std::nullopt}};
  EXPECT_EQ(shown().at("operating_status"), "ERROR");
  EXPECT_EQ(shown().at("operating_status_by_node"),
            (boost::json::object{{"lb1", "ONLINE"}, {"lb2", "ERROR"}, {"lb3", "OFFLINE"}}));
  EXPECT_EQ(ask("GET", "/v2.0/lbaas/pools/" + pool).json.at("pool").at("operating_status"),
            "ERROR");
  EXPECT_FALSE(get(path).json.at("member").as_object().contains("operating_status_by_node"));
}

TEST_F(FleetTest, the_status_in_metrics_is_the_fleets) {
  create_load_balancer();
  const auto status = [this] {
    const auto text = metrics(controller(), {.fleet = &fleet_});
    const auto at = text.find("provisioning_status=\"");
    return text.substr(at + 21, text.find('"', at + 21) - at - 21);
  };
  EXPECT_EQ(status(), "ACTIVE");
  fleet_.there = {.pending = true, .error = ""};
  EXPECT_EQ(status(), "PENDING_UPDATE");
}

TEST_F(FleetTest, metrics_tell_how_far_each_node_is) {
  const auto samples = [this] {
    std::string found;
    std::istringstream lines(metrics(controller(), {.fleet = &fleet_}));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("sluice_fleet_")) found += line.substr(13) + '\n';
    }
    return found;
  };
  const std::string others =
      "generation 7\n"
      "nodes 2\n"
      "node_applied_generation{peer=\"lb1\"} 7\n"
      "node_applied_generation{peer=\"lb2\"} 6\n"
      "node_errors{peer=\"lb1\"} 0\n"
      "node_errors{peer=\"lb2\"} 1\n";
  EXPECT_EQ(samples(), "following 1\n" + others);
  for (const auto* state : {"CONNECTING", "CUT_OFF", "REFUSED"}) {
    fleet_.now.state = state;
    EXPECT_EQ(samples(), "following 0\n" + others) << state;
  }
  EXPECT_EQ(metrics(controller()).find("sluice_fleet_"), std::string::npos) << "of a node alone";
}

// A node that is told of connections.
struct FakePeers : control::Peers {
  control::PeersState state() const override {
    control::PeersState state{.lost = 7, .strangers = 8, .peers = {}};
    auto& peer = state.peers.emplace_back();
    peer.address = "10.0.0.2:9877";
    peer.name = "lb2";
    peer.state = "FOLLOWING";
    peer.behind = 3;
    peer.replicas = 5;
    peer.refused_datagrams = {{"forged", 2}};
    peer.refused_records = {{"share", 4}};
    return state;
  }
};

TEST_F(FleetTest, peers_are_listed) {
  FakePeers peers;
  Context context{controller(), "project", events_};
  context.peers = &peers;
  const auto listed = send_in(context, {"GET", "/v1/peers", ""}).json.at("peers").as_array();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].at("address"), "10.0.0.2:9877");
  EXPECT_EQ(listed[0].at("state"), "FOLLOWING");
  EXPECT_EQ(listed[0].at("refused_datagrams").at("forged"), 2);
  EXPECT_EQ(
      send_in(context, {"GET", "/v1/cluster", ""}).json.at("cluster").at("replicas").at("lb2"), 5);
  EXPECT_TRUE(get("/v1/peers").json.at("peers").as_array().empty()) << "of a node alone";
  EXPECT_TRUE(get("/v1/cluster").json.at("cluster").at("replicas").as_object().empty());
}

TEST_F(FleetTest, metrics_tell_of_a_snat_address_while_connections_have_it) {
  const std::string name = "sluice_leaving_snat_address_connections";
  EXPECT_EQ(metrics(controller()).find(name), std::string::npos);
  controller().note_leaving_sources({{*parse_ip_address("10.0.0.99"), 4}});
  EXPECT_NE(metrics(controller()).find("\n" + name + "{address=\"10.0.0.99\"} 4\n"),
            std::string::npos);
}

TEST_F(FleetTest, metrics_tell_how_peers_are) {
  FakePeers peers;
  const auto text = metrics(controller(), {.peers = &peers});
  for (const auto* sample :
       {"sluice_peer_following{peer=\"10.0.0.2:9877\"} 1\n",
        "sluice_peer_behind_records{peer=\"10.0.0.2:9877\"} 3\n",
        "sluice_peer_replicas{peer=\"10.0.0.2:9877\"} 5\n",
        "sluice_peer_refused_datagrams_total{peer=\"10.0.0.2:9877\",reason=\"forged\"} 2\n",
        "sluice_peer_refused_records_total{peer=\"10.0.0.2:9877\",reason=\"share\"} 4\n",
        "sluice_peer_changes_lost_total 7\n", "sluice_peer_stranger_datagrams_total 8\n"})
    EXPECT_THAT(text, testing::HasSubstr(sample));
  EXPECT_EQ(metrics(controller()).find("sluice_peer_"), std::string::npos) << "of a node alone";
}

TEST_F(FleetTest, counters_tell_how_the_fleet_is) {
  fleet_.now.state = "CUT_OFF";
  fleet_.now.reason = "no quorum";
  const auto health = ask("GET", "/v1/counters").json.at("counters").at("health");
  EXPECT_EQ(health.at("fleet"), ask("GET", "/v1/cluster").json.at("cluster"));
  const auto alone = get("/v1/counters").json.at("counters").at("health");
  EXPECT_FALSE(alone.as_object().contains("fleet"));
}

TEST_F(FleetTest, a_node_alone_is_a_fleet_of_one) {
  const auto nodes = get("/v1/nodes").json.at("nodes").as_array();
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_FALSE(nodes.front().at("version").as_string().empty());
  EXPECT_EQ(get("/v1/cluster").json.at("cluster").at("state"), "ALONE");
  EXPECT_EQ(post("/v1/cluster/restore", "").status, 409U);
}

}  // namespace
}  // namespace sluice::api
