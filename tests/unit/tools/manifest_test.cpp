// Manifests: reading the file, comparing it with the present state, writing it again.
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "sluicectl/manifest/file.hpp"
#include "sluicectl/manifest/plan.hpp"
#include "sluicectl/manifest/state.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string walkthrough = R"(loadbalancers:
  - name: lb_test_1
    vip_address: 10.0.0.16
    listeners:
      - name: 80_listener
        protocol: TCP
        protocol_port: 80
        default_pool: 80_pool
    pools:
      - name: 80_pool
        protocol: TCP
        lb_algorithm: ROUND_ROBIN
        healthmonitor:
          type: HTTP
          delay: 60
          timeout: 20
          max_retries: 2
          url_path: /health
        members:
          - address: 10.0.0.4
            protocol_port: 80
          - address: 10.0.0.6
            protocol_port: 80
            weight: 5
    floating_ips:
      - 172.24.4.10
)";

// An API whose lists are fixed, whatever the query.
class Lists : public Transport {
 public:
  std::map<std::string, std::string> bodies;  // by collection
  Result<HttpAnswer> exchange(const HttpRequest& request) override {
    const auto path = request.target.substr(0, request.target.find('?'));
    const auto collection = path.substr(path.rfind('/') + 1);
    const auto body = bodies.contains(collection) ? bodies[collection] : "[]";
    return HttpAnswer{200, "{\"" + collection + "\":" + body + "}", "req-7"};
  }
};

// The walkthrough's objects as the API shows them.
Lists walkthrough_lists() {
  Lists lists;
  lists.bodies = {
      {"loadbalancers", R"([{"id":"lb-id","name":"lb_test_1","description":"",
        "vip_address":"10.0.0.16","vip_port_id":"port-id","vip_subnet_id":null,
        "admin_state_up":true,"tags":[],"project_id":"00000000000000000000000000000000"}])"},
      {"listeners", R"([{"id":"l-id","name":"80_listener","description":"","protocol":"TCP",
        "protocol_port":80,"default_pool_id":"p-id","connection_limit":-1,"allowed_cidrs":null,
        "timeout_client_data":50000,"timeout_member_connect":5000,"timeout_member_data":50000,
        "timeout_member_connect_set":false,
        "timeout_tcp_inspect":0,"admin_state_up":true,"tags":[],
        "loadbalancers":[{"id":"lb-id"}]}])"},
      {"pools", R"([{"id":"p-id","name":"80_pool","description":"","protocol":"TCP",
        "lb_algorithm":"ROUND_ROBIN","forwarding_mode":"fullnat","session_persistence":null,
        "admin_state_up":true,"tags":[],"loadbalancers":[{"id":"lb-id"}]}])"},
      {"members", R"([{"id":"m1","name":"","address":"10.0.0.4","protocol_port":80,"weight":1,
        "backup":false,"monitor_address":null,"monitor_port":null,"subnet_id":null,
        "admin_state_up":true,"tags":[]},{"id":"m2","name":"","address":"10.0.0.6",
        "protocol_port":80,"weight":5,"backup":false,"monitor_address":null,"monitor_port":null,
        "subnet_id":null,"admin_state_up":true,"tags":[]}])"},
      {"healthmonitors", R"([{"id":"hm-id","name":"","type":"HTTP","delay":60,"timeout":20,
        "max_retries":2,"max_retries_down":3,"http_method":"GET","url_path":"/health",
        "expected_codes":"200","http_version":null,"domain_name":null,"admin_state_up":true,
        "tags":[],"pools":[{"id":"p-id"}]}])"},
      {"floatingips", R"([{"id":"f-id","floating_ip_address":"172.24.4.10","port_id":"port-id"}])"},
  };
  return lists;
}

Item state_of(Lists lists) {
  Client client(lists, [](std::chrono::milliseconds) {});
  auto state = fetch_state(client);
  EXPECT_TRUE(state.has_value()) << state.error().text();
  return state.value_or(Item{});
}

Item read(const std::string& text) {
  auto item = read_manifest("lb.yaml", text);
  EXPECT_TRUE(item.has_value()) << item.error().text();
  return item.value_or(Item{});
}

std::string refusal(const std::string& text) {
  const auto item = read_manifest("lb.yaml", text);
  return item ? "" : item.error().text();
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

std::vector<std::string> texts(const std::string& manifest, const Item& there) {
  const auto wanted = read(manifest);
  const auto steps = plan("lb.yaml", wanted, there);
  std::vector<std::string> out;
  if (!steps) return {steps.error().text()};
  for (const auto& step : *steps) out.push_back(step.text);
  return out;
}

std::vector<std::string> requests(const std::string& manifest, const Item& there) {
  const auto wanted = read(manifest);
  const auto steps = plan("lb.yaml", wanted, there);
  std::vector<std::string> out;
  if (!steps) return {steps.error().text()};
  for (const auto& step : *steps) {
    auto line = std::string(step.request.at("method").as_string()) + " " +
                std::string(step.request.at("path").as_string());
    if (step.request.contains("body")) line += " " + json::serialize(step.request.at("body"));
    out.push_back(std::move(line));
  }
  return out;
}

TEST(Manifest, WhatIsExportedIsTheWalkthrough) {
  EXPECT_EQ(write_manifest(without_ids(state_of(walkthrough_lists()))), walkthrough);
}

TEST(Manifest, ApplyingWhatIsThereChangesNothing) {
  EXPECT_THAT(texts(walkthrough, state_of(walkthrough_lists())), IsEmpty());
}

TEST(Manifest, OneFieldThatDiffersIsOneRequest) {
  const auto there = state_of(walkthrough_lists());
  const auto changed = replaced(walkthrough, "weight: 5", "weight: 7");
  EXPECT_THAT(texts(changed, there),
              ElementsAre("~ member 10.0.0.6:80 of pool 80_pool: weight 5 -> 7"));
  EXPECT_THAT(requests(changed, there),
              ElementsAre(R"(PUT /v2/lbaas/pools/p-id/members/m2 {"member":{"weight":7}})"));
}

TEST(Manifest, AFieldThatIsTakenOutGoesBackToItsDefault) {
  EXPECT_THAT(
      requests(replaced(walkthrough, "            weight: 5\n", ""), state_of(walkthrough_lists())),
      ElementsAre(R"(PUT /v2/lbaas/pools/p-id/members/m2 {"member":{"weight":null}})"));
}

// The API shows 5000 for a listener without a connect timeout, too.
TEST(Manifest, AConnectTimeoutThatIsTheDefaultIsExportedOnlyIfItWasSet) {
  const auto wanted =
      replaced(walkthrough, "        default_pool: 80_pool\n",
               "        default_pool: 80_pool\n        timeout_member_connect: 5000\n");
  EXPECT_THAT(
      requests(wanted, state_of(walkthrough_lists())),
      ElementsAre(R"(PUT /v2/lbaas/listeners/l-id {"listener":{"timeout_member_connect":5000}})"));
  auto lists = walkthrough_lists();
  lists.bodies["listeners"] = replaced(lists.bodies["listeners"], "_set\":false", "_set\":true");
  EXPECT_EQ(write_manifest(without_ids(state_of(lists))), wanted);
  EXPECT_THAT(
      requests(walkthrough, state_of(lists)),
      ElementsAre(R"(PUT /v2/lbaas/listeners/l-id {"listener":{"timeout_member_connect":null}})"));
}

TEST(Manifest, OnAnEmptySystemEverythingIsMadeAndRefersToWhatWasMadeBefore) {
  EXPECT_THAT(
      requests(walkthrough, state_of({})),
      ElementsAre(HasSubstr(R"(POST /v2/lbaas/loadbalancers {"loadbalancer":{"name":"lb_test_1")"),
                  HasSubstr(R"(POST /v2/lbaas/pools {"pool":{"loadbalancer_id":"$0")"),
                  HasSubstr(R"(POST /v2/lbaas/healthmonitors {"healthmonitor":{"pool_id":"$1")"),
                  HasSubstr(R"(POST /v2/lbaas/pools/$1/members {"member":{"address":"10.0.0.4")"),
                  HasSubstr(R"(POST /v2/lbaas/pools/$1/members {"member":{"address":"10.0.0.6")"),
                  HasSubstr(R"("loadbalancer_id":"$0","default_pool_id":"$1")"),
                  R"(POST /v2/floatingips {"floatingip":{"port_id":"$0.vip_port_id",)"
                  R"("floating_ip_address":"172.24.4.10"}})"));
}

// A fleet gets the steps load balancer by load balancer.
TEST(Manifest, PartsReferToTheirOwnStepsOnly) {
  const auto there = state_of(walkthrough_lists());
  const auto of = [](const std::string& name, const std::string& vip) {
    return "  - name: " + name + "\n    vip_address: " + vip + R"(
    pools:
      - name: pool
        protocol: TCP
        lb_algorithm: ROUND_ROBIN
    listeners:
      - protocol: TCP
        protocol_port: 80
        default_pool: pool
    floating_ips:
      - 172.24.4.)" +
           vip.substr(vip.rfind('.') + 1) + "\n";
  };
  const auto wanted = read("loadbalancers:\n" + of("a", "10.0.0.20") + of("b", "10.0.0.21"));
  const auto steps = plan("lb.yaml", wanted, there);
  ASSERT_TRUE(steps) << steps.error().text();
  std::vector<std::string> found;
  for (const auto& part : parts_of(*steps)) {
    found.push_back("== " + part.title);
    for (const auto& step : part.steps) {
      auto line = std::string(step.request.at("path").as_string());
      const auto* body = step.request.if_contains("body");
      const auto all = body ? json::serialize(*body) : std::string();
      for (auto at = all.find('$'); at != all.npos; at = all.find('$', at + 1))
        line += " " + all.substr(at, all.find('"', at) - at);
      found.push_back(line);
    }
  }
  EXPECT_THAT(
      found, ElementsAre("== floating IPs", "/v2/floatingips/f-id",  //
                         "== load balancer lb_test_1", "/v2/lbaas/loadbalancers/lb-id?cascade=true",
                         "== load balancer a", "/v2/lbaas/loadbalancers", "/v2/lbaas/pools $0",
                         "/v2/lbaas/listeners $0 $1", "/v2/floatingips $0.vip_port_id",
                         "== load balancer b", "/v2/lbaas/loadbalancers", "/v2/lbaas/pools $0",
                         "/v2/lbaas/listeners $0 $1", "/v2/floatingips $0.vip_port_id"));
}

TEST(Manifest, WhatTheFileDoesNotNameIsRemoved) {
  const auto there = state_of(walkthrough_lists());
  EXPECT_THAT(requests("loadbalancers: []", there),
              ElementsAre("DELETE /v2/floatingips/f-id",
                          "DELETE /v2/lbaas/loadbalancers/lb-id?cascade=true"));
  EXPECT_THAT(texts(replaced(walkthrough,
                             "          - address: 10.0.0.4\n"
                             "            protocol_port: 80\n",
                             ""),
                    there),
              ElementsAre("- member 10.0.0.4:80 of pool 80_pool"));
}

TEST(Manifest, WhatCannotBeChangedIsReplaced) {
  const auto there = state_of(walkthrough_lists());
  EXPECT_THAT(texts(replaced(walkthrough, "protocol_port: 80\n        default",
                             "protocol_port: 8080\n        default"),
                    there),
              ElementsAre("- listener 80_listener of load balancer lb_test_1",
                          "+ listener 80_listener of load balancer lb_test_1"));
}

TEST(Manifest, AFloatingIpMovesToAnotherLoadBalancer) {
  auto moved = replaced(walkthrough, "    floating_ips:\n      - 172.24.4.10\n", "");
  moved += "  - name: other\n    vip_address: 10.0.0.17\n    floating_ips: [172.24.4.10]\n";
  EXPECT_THAT(
      requests(moved, state_of(walkthrough_lists())),
      ElementsAre(HasSubstr("POST /v2/lbaas/loadbalancers"),
                  R"(PUT /v2/floatingips/f-id {"floatingip":{"port_id":"$0.vip_port_id"}})"));
}

TEST(Manifest, SpellingDoesNotMatter) {
  const auto there = state_of(walkthrough_lists());
  auto text = replaced(walkthrough, "protocol: TCP", "protocol: tcp");
  text = replaced(text, "weight: 5", "weight: 5\n            backup: false\n            tags: []");
  EXPECT_THAT(texts(text, there), IsEmpty());
}

TEST(Manifest, CidrsAndTagsAreSets) {
  auto lists = walkthrough_lists();
  lists.bodies["listeners"] = replaced(lists.bodies["listeners"], R"("allowed_cidrs":null)",
                                       R"("allowed_cidrs":["10.0.0.0/8","192.0.2.7/32"])");
  const auto text = replaced(walkthrough, "protocol_port: 80\n        default",
                             "protocol_port: 80\n        allowed_cidrs: [192.0.2.7, 10.1.2.3/8]\n"
                             "        default");
  EXPECT_THAT(texts(text, state_of(lists)), IsEmpty());
}

TEST(Manifest, SnatAddressesAreComparedWhateverTheirOrderAndSpelling) {
  auto lists = walkthrough_lists();
  const auto with = [](const std::string& addresses) {
    return replaced(walkthrough, "vip_address: 10.0.0.16",
                    "vip_address: 10.0.0.16\n    snat_addresses: [" + addresses + "]");
  };
  lists.bodies["loadbalancers"] = replaced(lists.bodies["loadbalancers"], R"("vip_subnet_id":null)",
                                           R"("vip_subnet_id":null, "snat_addresses":[])");
  EXPECT_THAT(texts(walkthrough, state_of(lists)), IsEmpty());
  lists.bodies["loadbalancers"] = replaced(lists.bodies["loadbalancers"], R"("snat_addresses":[])",
                                           R"("snat_addresses":["10.0.0.18","2001:db8::18"])");
  EXPECT_THAT(texts(with("'2001:DB8:0::18', 10.0.0.18"), state_of(lists)), IsEmpty());
  EXPECT_THAT(texts(with("10.0.0.18"), state_of(lists)), ElementsAre(HasSubstr("snat_addresses")));
}

TEST(Manifest, AnAdditionalVipWhoseAddressTheFileLeavesOutIsRightWhateverItIs) {
  auto lists = walkthrough_lists();
  lists.bodies["loadbalancers"] = replaced(lists.bodies["loadbalancers"], R"("vip_subnet_id":null)",
                                           R"("vip_subnet_id":null,
                  "additional_vips":[{"subnet_id":"s6","ip_address":"2001:db8::16"}])");
  const auto with = [](const std::string& vip) {
    return replaced(walkthrough, "vip_address: 10.0.0.16",
                    "vip_address: 10.0.0.16\n    additional_vips: [{" + vip + "}]");
  };
  const auto there = state_of(lists);
  EXPECT_THAT(texts(with("subnet_id: s6"), there), IsEmpty());
  EXPECT_THAT(texts(with("subnet_id: s6, ip_address: '2001:DB8:0::16'"), there), IsEmpty());
}

TEST(Manifest, WhatIsFixedAtCreationIsNamedWithWhatItIs) {
  auto lists = walkthrough_lists();
  lists.bodies["loadbalancers"] =
      replaced(lists.bodies["loadbalancers"], R"("vip_subnet_id":null)", R"("vip_subnet_id":"s4",
                  "additional_vips":[{"subnet_id":"s6","ip_address":"2001:db8::16"}])");
  const auto with = [&](const std::string& line) {
    return texts(
        replaced(walkthrough, "vip_address: 10.0.0.16", "vip_address: 10.0.0.16\n    " + line),
        state_of(lists));
  };
  EXPECT_THAT(with("vip_subnet_id: s5"),
              ElementsAre("lb.yaml:4: load balancer lb_test_1: vip_subnet_id 's5': it is s4, and "
                          "can't be changed once the load balancer is there"));
  EXPECT_THAT(with("additional_vips: [{subnet_id: s6, ip_address: '2001:db8::17'}]"),
              ElementsAre(HasSubstr("it is [{\"subnet_id\":\"s6\"")));
  EXPECT_THAT(with("additional_vips: [{subnet_id: s7}]"),
              ElementsAre(HasSubstr("additional_vips")));
}

TEST(Manifest, PoolsOfOneNameAreToldApartByTheirIds) {
  auto lists = walkthrough_lists();
  const auto one = lists.bodies["pools"].substr(1, lists.bodies["pools"].size() - 2);
  lists.bodies["pools"] = "[" + one + "," + replaced(one, "p-id", "q-id") + "]";
  lists.bodies["members"] = "[]";
  const auto there = state_of(lists);
  const auto exported = write_manifest(without_ids(there));
  EXPECT_THAT(exported, HasSubstr("default_pool: p-id"));
  EXPECT_THAT(exported, HasSubstr("id: q-id"));
  EXPECT_THAT(texts(exported, there), IsEmpty());
}

struct Mistake {
  std::string from, to, error;
};

TEST(Manifest, AMistakeIsNamedWithFileLineFieldAndValue) {
  const std::vector<Mistake> mistakes = {
      {"weight: 5", "wieght: 5",
       "lb.yaml:24: member 10.0.0.6:80 has no field 'wieght' (did you mean 'weight'?)"},
      {"weight: 5", "weight: heavy",
       "lb.yaml:24: member 10.0.0.6:80: weight 'heavy' is not a number"},
      {"weight: 5", "weight: 5\n            weight: 6",
       "lb.yaml:25: member 10.0.0.6:80: 'weight' is there twice"},
      {"weight: 5", "backup: maybe",
       "lb.yaml:24: member 10.0.0.6:80: backup 'maybe' is neither true nor false"},
      {"weight: 5", "tags: blue", "lb.yaml:24: member 10.0.0.6:80: tags 'blue' is not a list"},
      {"    listeners:\n", "    listeners: none\n    pools2:\n",
       "lb.yaml:4: load balancer lb_test_1: listeners 'none' is not a list"},
      {"          timeout: 20\n", "", "lb.yaml:14: health monitor HTTP: timeout is missing"},
      {"      - name: 80_listener", "      - web", "lb.yaml:"},
      {"loadbalancers:", "balancers:",
       "lb.yaml:1: there is no 'loadbalancers': write 'loadbalancers: []' to have none"},
      {"weight: 5", "weight: [5", "lb.yaml:"},
  };
  for (const auto& mistake : mistakes)
    EXPECT_THAT(refusal(replaced(walkthrough, mistake.from, mistake.to)),
                testing::StartsWith(mistake.error));
}

TEST(Manifest, AnEmptyFileDoesNotMeanToRemoveEverything) {
  EXPECT_THAT(refusal(""), HasSubstr("lb.yaml:1: "));
  EXPECT_THAT(refusal("# nothing\n"), HasSubstr("lb.yaml:1: "));
  EXPECT_THAT(refusal("just text"), HasSubstr("lb.yaml:1: "));
}

// YAML::LoadAll() never came to an end here.
TEST(Manifest, ACommaOutsideOfAListIsAMistakeLikeAnother) {
  for (const auto* text : {",", "loadbalancers: []\n,", "loadbalancers: []\n}", "--- a\n--- b\n"}) {
    const auto read = read_manifest("lb.yaml", text);
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error().text(), HasSubstr("lb.yaml:")) << text;
  }
}

TEST(Manifest, MistakesBetweenItemsAreNamedToo) {
  const auto there = state_of({});
  EXPECT_THAT(texts(replaced(walkthrough, "default_pool: 80_pool", "default_pool: 81_pool"), there),
              ElementsAre("lb.yaml:8: listener 80_listener: default_pool '81_pool': its load "
                          "balancer has no such pool"));
  EXPECT_THAT(texts(replaced(walkthrough, "10.0.0.6", "10.0.0.4"), there),
              ElementsAre(HasSubstr("it is the same as the one in line 20")));
  EXPECT_THAT(texts(walkthrough + "floating_ips: [172.24.4.10]\n", there),
              ElementsAre(HasSubstr("floating_ip_address '172.24.4.10': it is there twice")));
}

}  // namespace
}  // namespace sluice::ctl
