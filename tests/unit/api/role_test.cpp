// Roles, for each kind of object: a reader changes nothing, a member has its project's objects
// only.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

// The objects of one project, one of each kind.
struct Tree {
  std::string load_balancer, port, listener, pool, member, monitor, floating_ip;
};

class RoleTest : public ApiTest {
 protected:
  Tree make(const std::string& project, const std::string& last) {
    who_ = {.name = project, .role = Role::member, .project = project};
    Tree tree;
    tree.load_balancer = create_load_balancer("10.0.0." + last, "lb-" + project);
    tree.port = text(
        get("/v2/lbaas/loadbalancers/" + tree.load_balancer)["loadbalancer"].at("vip_port_id"));
    tree.listener = create_listener(tree.load_balancer);
    tree.pool = create_pool(tree.listener);
    tree.member = create_member(tree.pool, "10.1.0." + last);
    tree.monitor = create_monitor(tree.pool);
    tree.floating_ip = create("/v2/floatingips", "floatingip",
                              R"("floating_ip_address": "172.24.4.)" + last + '"');
    return tree;
  }

  const Tree theirs_ = make("theirs", "1");
  const Tree ours_ = make("ours", "2");  // the last one: requests are sent as this member

  static std::vector<std::pair<std::string, std::string>> urls(const Tree& tree) {
    return {{"/v2/lbaas/loadbalancers/" + tree.load_balancer, "loadbalancer"},
            {"/v2/lbaas/listeners/" + tree.listener, "listener"},
            {"/v2/lbaas/pools/" + tree.pool, "pool"},
            {"/v2/lbaas/pools/" + tree.pool + "/members/" + tree.member, "member"},
            {"/v2/lbaas/healthmonitors/" + tree.monitor, "healthmonitor"},
            {"/v2/floatingips/" + tree.floating_ip, "floatingip"}};
  }
};

TEST_F(RoleTest, a_member_sees_its_own_objects_of_each_kind_and_nobody_elses) {
  for (const auto& [url, wrapper] : urls(ours_)) EXPECT_EQ(get(url).status, 200U) << url;
  for (const auto& [url, wrapper] : urls(theirs_)) EXPECT_EQ(get(url).status, 404U) << url;
  for (const auto* list : {"/v2/lbaas/loadbalancers", "/v2/lbaas/listeners", "/v2/lbaas/pools",
                           "/v2/lbaas/healthmonitors", "/v2/floatingips", "/v2/ports"}) {
    const auto answer = get(list);
    ASSERT_EQ(answer.status, 200U) << list;
    const auto& objects = answer.json.as_object().begin()->value().as_array();
    ASSERT_EQ(objects.size(), 1U) << list << text(answer.json);
    EXPECT_EQ(objects[0].at("project_id"), "ours") << list;
  }
  EXPECT_EQ(get("/v2/lbaas/pools/" + theirs_.pool + "/members").status, 404U);
  for (const auto* part : {"/status", "/stats"}) {
    EXPECT_EQ(get("/v2/lbaas/loadbalancers/" + theirs_.load_balancer + part).status, 404U) << part;
    EXPECT_EQ(get("/v2/lbaas/loadbalancers/" + ours_.load_balancer + part).status, 200U) << part;
  }
  EXPECT_EQ(get("/v2/lbaas/listeners/" + theirs_.listener + "/stats").status, 404U);
  EXPECT_EQ(get("/v2/ports/" + theirs_.port).status, 404U);
}

TEST_F(RoleTest, a_member_changes_its_own_objects_of_each_kind_and_nobody_elses) {
  const auto before = controller().model();
  for (const auto& [url, wrapper] : urls(theirs_)) {
    EXPECT_EQ(put(url, "{\"" + wrapper + "\": {\"description\": \"x\"}}").status, 404U) << url;
    EXPECT_EQ(put(url, "{\"" + wrapper + "\": {\"name\": \"x\"}}").status, 404U) << url;
    EXPECT_EQ(del(url).status, 404U) << url;
  }
  EXPECT_EQ(put("/v2/lbaas/loadbalancers/" + theirs_.load_balancer + "/failover", "").status, 404U);
  EXPECT_EQ(put("/v2/lbaas/pools/" + theirs_.pool + "/members", R"({"members": []})").status, 404U);
  EXPECT_EQ(controller().model(), before);
  for (const auto& [url, wrapper] : urls(ours_)) {
    if (wrapper == "floatingip") continue;  // has no name
    EXPECT_EQ(put(url, "{\"" + wrapper + "\": {\"name\": \"x\"}}").status, 200U) << url;
  }
}

TEST_F(RoleTest, a_member_hangs_nothing_on_other_peoples_objects) {
  const auto refused = [](unsigned status) { return status == 403 || status == 404; };
  EXPECT_TRUE(refused(post("/v2/lbaas/listeners",
                           R"({"listener": {"protocol": "TCP", "protocol_port": 99,
                               "loadbalancer_id": ")" +
                               theirs_.load_balancer + "\"}}")
                          .status));
  EXPECT_TRUE(refused(post("/v2/lbaas/pools",
                           R"({"pool": {"protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
                               "loadbalancer_id": ")" +
                               theirs_.load_balancer + "\"}}")
                          .status));
  EXPECT_TRUE(refused(post("/v2/lbaas/pools/" + theirs_.pool + "/members",
                           R"({"member": {"address": "10.1.0.9", "protocol_port": 80}})")
                          .status));
  who_.role = Role::admin;
  ASSERT_EQ(del("/v2/lbaas/healthmonitors/" + theirs_.monitor).status, 204U);
  who_.role = Role::member;
  EXPECT_TRUE(refused(post("/v2/lbaas/healthmonitors",
                           R"({"healthmonitor": {"type": "TCP", "delay": 5, "timeout": 3,
                               "max_retries": 2, "pool_id": ")" +
                               theirs_.pool + "\"}}")
                          .status));
  EXPECT_TRUE(refused(put("/v2/floatingips/" + ours_.floating_ip,
                          R"({"floatingip": {"port_id": ")" + theirs_.port + "\"}}")
                          .status));
  EXPECT_EQ(post("/v2/lbaas/loadbalancers",
                 R"({"loadbalancer": {"vip_address": "10.0.0.77", "project_id": "theirs"}})")
                .status,
            403U);
  const auto& model = controller().model();
  EXPECT_EQ(model.listeners.size(), 2U);
  EXPECT_EQ(model.pools.size(), 2U);
  EXPECT_EQ(model.members.size(), 2U);
  EXPECT_EQ(model.health_monitors.size(), 1U);
}

TEST_F(RoleTest, what_others_have_counts_neither_in_a_members_lists_nor_against_its_quota) {
  // Each project has one object of each kind, and both may have two.
  who_.role = Role::admin;
  for (const auto* project : {"ours", "theirs"}) {
    ASSERT_EQ(put(std::string("/v2/lbaas/quotas/") + project, R"({"quota": {"load_balancer": 2,
                  "listener": 2, "pool": 2, "member": 2, "health_monitor": 1}})")
                  .status,
              202U);
  }
  who_.role = Role::member;
  create_load_balancer("10.0.0.5", "second");
  EXPECT_EQ(
      post("/v2/lbaas/loadbalancers", R"({"loadbalancer": {"vip_address": "10.0.0.6"}})").status,
      403U);
  const auto listener = create_listener(ours_.load_balancer, 81);
  EXPECT_EQ(post("/v2/lbaas/listeners", R"({"listener": {"protocol": "TCP", "protocol_port": 82,
                     "loadbalancer_id": ")" +
                                            ours_.load_balancer + "\"}}")
                .status,
            403U);
  const auto pool = create_pool(listener, "second");
  create_member(pool, "10.1.0.9");
  EXPECT_EQ(post("/v2/lbaas/pools/" + pool + "/members",
                 R"({"member": {"address": "10.1.0.10", "protocol_port": 80}})")
                .status,
            403U);
  EXPECT_EQ(post("/v2/lbaas/healthmonitors", R"({"healthmonitor": {"type": "TCP", "delay": 5,
                     "timeout": 3, "max_retries": 2, "pool_id": ")" +
                                                 pool + "\"}}")
                .status,
            403U);
  for (const auto& [list, count] :
       {std::pair("loadbalancers", 2U), {"listeners", 2U}, {"pools", 2U}, {"healthmonitors", 1U}}) {
    EXPECT_EQ(get(std::string("/v2/lbaas/") + list).json.at(list).as_array().size(), count) << list;
    // Others' objects take no place on a page.
    EXPECT_EQ(get(std::string("/v2/lbaas/") + list + "?limit=1").json.at(list).as_array().size(),
              1U)
        << list;
  }
  EXPECT_EQ(get("/v2/lbaas/pools?name=80_pool").json.at("pools").as_array().size(), 1U);
}

TEST_F(RoleTest, a_members_batch_has_no_more_rights_than_the_member) {
  const auto answer = post("/v1/batch", R"({"requests": [{"method": "DELETE", "path":
      "/v2/lbaas/loadbalancers/)" + theirs_.load_balancer +
                                            R"(?cascade=true"}]})");
  EXPECT_EQ(answer.status, 404U) << answer.response.body;
  EXPECT_TRUE(controller().model().load_balancers.contains(*parse_uuid(theirs_.load_balancer)));
}

TEST_F(RoleTest, the_node_is_no_members_business) {
  for (const auto* url : {"/v1/drops", "/v1/counters", "/v1/flows", "/v1/clients",
                          "/v1/removed-members", "/v1/explain"}) {
    EXPECT_EQ(get(url).status, 403U) << url;
  }
  EXPECT_EQ(del("/v1/flows").status, 403U);
  EXPECT_EQ(post("/v1/captures", "{}").status, 403U);
  EXPECT_EQ(put("/v2/lbaas/quotas/ours", R"({"quota": {"member": -1}})").status, 403U);
  EXPECT_EQ(get("/v2/lbaas/quotas/ours").status, 200U);
  EXPECT_EQ(get("/v2/lbaas/quotas/theirs").status, 403U);
}

TEST_F(RoleTest, a_reader_sees_everything_and_changes_nothing) {
  who_ = {.name = "grafana", .role = Role::reader};
  const auto before = controller().model();
  for (const auto& tree : {ours_, theirs_}) {
    for (const auto& [url, wrapper] : urls(tree)) {
      EXPECT_EQ(get(url).status, 200U) << url;
      const auto answer = put(url, "{\"" + wrapper + "\": {\"name\": \"x\"}}");
      EXPECT_EQ(answer.status, 403U) << url;
      EXPECT_EQ(answer.fault(), "Policy does not allow this request to be performed.");
      EXPECT_EQ(del(url).status, 403U) << url;
    }
  }
  EXPECT_EQ(post("/v1/batch", R"({"requests": []})").status, 403U);
  EXPECT_EQ(del("/v1/flows").status, 403U);
  EXPECT_EQ(get("/v1/events").status, 200U);
  EXPECT_EQ(controller().model(), before);
}

}  // namespace
}  // namespace sluice::api
