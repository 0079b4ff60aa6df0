// Whole commands against prepared answers: their requests, output and exit codes.
#include "sluicectl/run.hpp"

#include <gmock/gmock.h>

#include <cstdio>
#include <map>

#include "fake_transport.hpp"

namespace sluice::ctl {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto no_listeners = R"({"listeners":[]})";
constexpr auto one_load_balancer = R"({"loadbalancers":[{"id":"lb-id"}]})";
constexpr auto one_pool = R"({"pools":[{"id":"pool-id"}]})";

class RunTest : public testing::Test {
 protected:
  Outcome run(const std::vector<std::string>& arguments) {
    Surroundings surroundings;
    surroundings.environment = [this](const std::string& name) { return environment[name]; };
    surroundings.connect = [this](Endpoint where, std::string secret) {
      endpoint = std::move(where);
      token = std::move(secret);
      return std::make_unique<FakeTransport>(exchange);
    };
    surroundings.sleep = [](std::chrono::milliseconds) {};
    surroundings.show = [this](const std::string& text) { shown += text; };
    surroundings.is_terminal = terminal;
    // Ctrl-C is pressed when the answers are used up.
    surroundings.is_interrupted = [this] { return exchange.answers.empty(); };
    return ctl::run(arguments, surroundings);
  }

  Exchange exchange;
  std::map<std::string, std::string> environment;
  Endpoint endpoint;
  std::string token;
  std::string shown;
  bool terminal = false;
};

// clang-format off
constexpr auto one_event = R"json({"last":7,"events":[{"number":7,"time":"2026-11-29T12:00:00.250Z",
    "kind":"change","who":"alice","peer":"192.0.2.7:50514","message":"updated Member web (x)",
    "before":{"weight":1},"after":{"weight":2},"request_id":"req-1"}]})json";
// clang-format on
constexpr auto no_more_events = R"({"last":7,"events":[]})";

TEST_F(RunTest, EventsAreListedWithWhoAndWhatWasBefore) {
  exchange.answer(200, one_event);
  const auto outcome =
      run({"events", "--kind", "change", "--type", "member", "--object", "web 1", "-f", "value",
           "-c", "who", "-c", "message", "-c", "before", "-c", "after"});
  EXPECT_EQ(outcome.output, "alice updated Member web (x) {\"weight\":1} {\"weight\":2}\n");
  EXPECT_THAT(exchange.lines(),
              ElementsAre("GET /v1/events?limit=1000&kind=change&type=member&object=web%201"));
}

TEST_F(RunTest, WatchingEventsGoesOnBehindTheLastOne) {
  exchange.answer(200, one_event)
      .answer(200, R"({"last":8,"events":[{"number":8,"time":"T","kind":"health","who":"","peer":"",
                       "message":"web is down: \u001b[2J"}]})")
      .answer(200, no_more_events);
  EXPECT_EQ(run({"events", "--watch"}).code, ExitCode::done);
  EXPECT_EQ(
      shown,
      "2026-11-29T12:00:00.250Z change       alice (192.0.2.7:50514): updated Member web (x)\n"
      "T health       web is down: \\x1b[2J\n");
  EXPECT_THAT(exchange.lines(),
              ElementsAre("GET /v1/events?limit=10", "GET /v1/events?after=7&wait=1",
                          "GET /v1/events?after=8&wait=1"));
}

TEST_F(RunTest, EventsArePagedBackAndStandInTheirOrder) {
  const auto page = [](int first, int count) {
    std::string text;
    for (int number = first; number < first + count; ++number)
      text += (text.empty() ? "" : ",") + ("{\"number\":" + std::to_string(number)) + "}";
    return R"({"last":1500,"events":[)" + text + "]}";
  };
  exchange.answer(200, page(501, 1000)).answer(200, page(300, 201));
  const auto outcome = run({"events", "--limit", "1201", "-f", "value", "-c", "number"});
  EXPECT_TRUE(outcome.output.starts_with("300\n301\n")) << outcome.output.substr(0, 20);
  EXPECT_TRUE(outcome.output.ends_with("\n1500\n"));
  EXPECT_THAT(exchange.lines(),
              ElementsAre("GET /v1/events?limit=1000", "GET /v1/events?limit=201&before=501"));
  EXPECT_EQ(run({"events", "--limit", "0"}).code, ExitCode::failed);
}

TEST_F(RunTest, WatchedEventsAreLinesOfJsonWhereThatIsAskedFor) {
  exchange.answer(200, R"({"last":8,"events":[{"number":8,"message":"a \u001b"}]})")
      .answer(200, no_more_events);
  run({"events", "--watch", "--limit", "1", "-f", "json"});
  EXPECT_EQ(shown, "{\"number\":8,\"message\":\"a \\u001b\"}\n");
  EXPECT_EQ(exchange.lines().at(0), "GET /v1/events?limit=1");
}

TEST_F(RunTest, AQuotaIsSetByTheLimitsThatWereGiven) {
  constexpr auto answer = R"({"quota":{"load_balancer":5,"pool":-1}})";
  exchange.answer(202, answer).answer(202, answer).answer(202, "");
  run({"loadbalancer", "quota", "set", "--loadbalancer", "5", "some-project"});
  run({"loadbalancer", "quota", "unset", "--pool", "some-project"});
  EXPECT_EQ(run({"loadbalancer", "quota", "reset", "some-project"}).code, ExitCode::done);
  EXPECT_THAT(exchange.lines(), ElementsAre("PUT /v2.0/lbaas/quotas/some-project",
                                            "PUT /v2.0/lbaas/quotas/some-project",
                                            "DELETE /v2.0/lbaas/quotas/some-project"));
  EXPECT_EQ(exchange.requests[0].body, R"({"quota":{"load_balancer":5}})");
  EXPECT_EQ(exchange.requests[1].body, R"({"quota":{"pool":null}})");
}

TEST_F(RunTest, ATerminalGetsNoSequencesOfOthersAndAFileGetsWhatThereIs) {
  const std::string name =
      "a\xc2\x9b"
      "31mb\xe2\x80\xae"
      "c";
  for (terminal = false;; terminal = true) {
    exchange.answer(200, one_pool).answer(200, R"({"pool":{"id":"x","name":")" + name + "\"}}");
    const auto outcome = run({"loadbalancer", "pool", "show", "p", "-f", "value", "-c", "name"});
    EXPECT_EQ(outcome.output, terminal ? "a\\x9b31mb\\u202ec\n" : name + "\n");
    if (terminal) break;
  }
}

TEST_F(RunTest, CreatingAListenerSendsWhatWasTypedAndPrintsTheAnswer) {
  exchange.answer(200, one_load_balancer)
      .answer(201, R"({"listener":{"id":"x","name":"80_listener","protocol_port":80}})");
  const auto outcome = run({"loadbalancer", "listener", "create", "--name", "80_listener",
                            "--protocol", "tcp", "--protocol-port", "80", "lb_test_1", "-f",
                            "value", "-c", "name", "-c", "protocol_port"});
  EXPECT_EQ(outcome.code, ExitCode::done);
  EXPECT_EQ(outcome.output, "80_listener\n80\n");
  EXPECT_THAT(exchange.lines(), ElementsAre("GET /v2.0/lbaas/loadbalancers?name=lb_test_1",
                                            "POST /v2.0/lbaas/listeners"));
  EXPECT_EQ(exchange.requests[1].body,
            R"({"listener":{"loadbalancer_id":"lb-id","protocol":"TCP","protocol_port":80,)"
            R"("name":"80_listener"}})");
}

TEST_F(RunTest, ManyPortsAreTypedAsOneWord) {
  exchange.answer(200, one_load_balancer).answer(201, R"({"listener":{"id":"x"}})");
  const auto create = [&](const char* ports) {
    return run({"listener", "create", "--protocol", "udp", "--protocol-port", ports, "lb"});
  };
  EXPECT_EQ(create("30000-30099").code, ExitCode::done);
  EXPECT_EQ(exchange.requests[1].body,
            R"({"listener":{"loadbalancer_id":"lb-id","protocol":"UDP","protocol_port":30000,)"
            R"("protocol_port_range":30099}})");
  for (const auto* wrong : {"", "-", "30000-", "-30000-", "30000:30099", "30000-30099x", "ftp"}) {
    const auto outcome = create(wrong);
    EXPECT_NE(outcome.code, ExitCode::done) << wrong;
    EXPECT_THAT(outcome.error, testing::HasSubstr(std::string("--protocol-port wants a port or "
                                                              "FIRST-LAST, not '") +
                                                  wrong + "'"));
  }
}

TEST_F(RunTest, MembersLiveBelowTheirPool) {
  exchange.answer(200, one_pool)
      .answer(200, R"({"members":[{"id":"m-id"}]})")
      .answer(200, R"({"member":{"id":"m-id","weight":0}})");
  const auto outcome = run({"member", "set", "80_pool", "m", "--weight", "0", "--disable"});
  EXPECT_EQ(outcome.code, ExitCode::done);
  EXPECT_THAT(exchange.lines(), ElementsAre("GET /v2.0/lbaas/pools?name=80_pool",
                                            "GET /v2.0/lbaas/pools/pool-id/members?name=m",
                                            "PUT /v2.0/lbaas/pools/pool-id/members/m-id"));
  EXPECT_EQ(exchange.requests[2].body, R"({"member":{"weight":0,"admin_state_up":false}})");
}

TEST_F(RunTest, AnUnknownMemberPointsToItsPoolsList) {
  exchange.answer(200, one_pool).answer(200, R"({"members":[]})");
  const auto outcome = run({"member", "show", "80_pool", "m"});
  EXPECT_EQ(outcome.code, ExitCode::failed);
  EXPECT_EQ(outcome.error,
            "no member is named 'm' (see 'sluicectl loadbalancer member list 80_pool')");
}

TEST_F(RunTest, AFaultNamesTheVerbAndTheObject) {
  exchange.answer(200, one_load_balancer).answer(409, R"({"faultstring":"Another\nListener."})");
  const auto outcome = run(
      {"listener", "create", "--name", "x", "--protocol", "TCP", "--protocol-port", "80", "lb"});
  EXPECT_EQ(outcome.code, ExitCode::failed);
  EXPECT_EQ(outcome.error, "create listener 'x': Another Listener. (HTTP 409)");
  EXPECT_THAT(outcome.output, IsEmpty());
}

TEST_F(RunTest, WithWaitTheFinalStateIsShown) {
  exchange.answer(200, one_load_balancer)
      .answer(201, R"({"listener":{"id":"x","provisioning_status":"PENDING_CREATE"}})")
      .answer(200, R"({"listener":{"id":"x","provisioning_status":"PENDING_CREATE"}})")
      .answer(200, R"({"listener":{"id":"x","provisioning_status":"ACTIVE"}})");
  const auto outcome = run({"listener", "create", "--wait", "--protocol", "TCP", "--protocol-port",
                            "80", "lb", "-f", "value", "-c", "provisioning_status"});
  EXPECT_EQ(outcome.output, "ACTIVE\n");
  EXPECT_EQ(exchange.lines().back(), "GET /v2.0/lbaas/listeners/x");
}

TEST_F(RunTest, UnsetSendsNull) {
  exchange.answer(200, R"({"listeners":[{"id":"l"}]})").answer(200, R"({"listener":{"id":"l"}})");
  run({"listener", "unset", "--default-pool", "80_listener"});
  EXPECT_EQ(exchange.requests.at(1).body, R"({"listener":{"default_pool_id":null}})");
}

TEST_F(RunTest, TagsAreAddedToThoseThatAreThere) {
  exchange.answer(200, one_load_balancer)
      .answer(200, R"({"loadbalancer":{"tags":["a","b"]}})")
      .answer(200, R"({"loadbalancer":{"id":"lb-id"}})");
  run({"lb", "set", "--tag", "b", "--tag", "c", "lb"});
  EXPECT_EQ(exchange.requests.at(2).body, R"({"loadbalancer":{"tags":["a","b","c"]}})");
}

TEST_F(RunTest, TagsCanBeTakenOffOneByOneOrAll) {
  exchange.answer(200, one_load_balancer)
      .answer(200, R"({"loadbalancer":{"tags":["a","b"]}})")
      .answer(200, R"({"loadbalancer":{"id":"lb-id"}})");
  run({"lb", "unset", "--tag", "a", "lb"});
  EXPECT_EQ(exchange.requests.at(2).body, R"({"loadbalancer":{"tags":["b"]}})");

  exchange.answer(200, one_load_balancer).answer(200, R"({"loadbalancer":{"id":"lb-id"}})");
  run({"lb", "unset", "--all-tag", "lb"});
  EXPECT_EQ(exchange.requests.at(4).body, R"({"loadbalancer":{"tags":[]}})");
}

TEST_F(RunTest, ListsFilterOnTheServer) {
  exchange.answer(200, one_load_balancer).answer(200, no_listeners);
  const auto outcome =
      run({"listener", "list", "--loadbalancer", "lb", "--disable", "--tags", "a,b"});
  EXPECT_EQ(outcome.output, "\n");
  EXPECT_EQ(exchange.lines().at(1),
            "GET /v2.0/lbaas/listeners?loadbalancer_id=lb-id&admin_state_up=False&tags=a%2Cb");
}

TEST_F(RunTest, DeletingPrintsNothing) {
  exchange.answer(200, one_load_balancer).answer(204, "");
  const auto outcome = run({"lb", "delete", "--cascade", "lb"});
  EXPECT_EQ(outcome.code, ExitCode::done);
  EXPECT_THAT(outcome.output, IsEmpty());
  EXPECT_EQ(exchange.lines().at(1), "DELETE /v2.0/lbaas/loadbalancers/lb-id?cascade=True");
}

TEST_F(RunTest, TheStatusTreeIsJson) {
  exchange.answer(200, one_load_balancer)
      .answer(200, R"({"statuses":{"loadbalancer":{"name":"lb","listeners":[]}}})");
  EXPECT_EQ(run({"lb", "status", "show", "lb"}).output,
            "{\n    \"loadbalancer\": {\n        \"name\": \"lb\",\n        \"listeners\": []\n"
            "    }\n}\n");
}

TEST_F(RunTest, ANewFloatingIpIsMadeForTheVipsPort) {
  exchange.answer(200, one_load_balancer)
      .answer(200, R"({"loadbalancer":{"id":"lb-id","vip_port_id":"port"}})")
      .answer(200, R"({"floatingips":[]})")
      .answer(201, R"({"floatingip":{"id":"f","floating_ip_address":"203.0.113.16"}})");
  const auto outcome = run({"floating-ip", "set", "--load-balancer", "lb", "203.0.113.16"});
  EXPECT_EQ(outcome.code, ExitCode::done);
  EXPECT_EQ(exchange.lines().back(), "POST /v2.0/floatingips");
  EXPECT_EQ(exchange.requests.back().body,
            R"({"floatingip":{"floating_ip_address":"203.0.113.16","port_id":"port"}})");
}

TEST_F(RunTest, AnExistingFloatingIpIsMoved) {
  exchange.answer(200, one_load_balancer)
      .answer(200, R"({"loadbalancer":{"id":"lb-id","vip_port_id":"port"}})")
      .answer(200, R"({"floatingips":[{"id":"f","floating_ip_address":"203.0.113.16"}]})")
      .answer(200, R"({"floatingip":{"id":"f"}})");
  run({"floating-ip", "set", "--load-balancer", "lb", "203.0.113.16"});
  EXPECT_EQ(exchange.lines().back(), "PUT /v2.0/floatingips/f");
  EXPECT_EQ(exchange.requests.back().body, R"({"floatingip":{"port_id":"port"}})");
}

TEST_F(RunTest, TheWalkthroughsFloatingIpLinesWorkWithSluicectl) {
  exchange.answer(200, R"({"networks":[{"id":"net-id"}]})")
      .answer(201, R"({"floatingip":{"id":"f","floating_ip_address":"203.0.113.16"}})");
  EXPECT_EQ(
      run({"floating", "ip", "create", "public-net", "-f", "value", "-c", "floating_ip_address"})
          .output,
      "203.0.113.16\n");
  EXPECT_EQ(exchange.requests.back().body, R"({"floatingip":{"floating_network_id":"net-id"}})");

  exchange.answer(200, R"({"ports":[{"id":"port"}]})")
      .answer(200, R"({"floatingips":[{"id":"f","floating_ip_address":"203.0.113.16"}]})")
      .answer(200, R"({"floatingip":{"id":"f"}})");
  EXPECT_EQ(run({"floating", "ip", "set", "--port", "port", "203.0.113.16"}).code, ExitCode::done);
  EXPECT_EQ(exchange.lines().back(), "PUT /v2.0/floatingips/f");

  exchange.answer(200, R"({"floatingips":[{"id":"f","floating_ip_address":"203.0.113.16",
      "fixed_ip_address":"10.0.0.16","port_id":"p","floating_network_id":"n","project_id":"x"}]})");
  EXPECT_THAT(run({"floating", "ip", "list"}).output,
              HasSubstr("| ID | Floating IP Address | Fixed IP Address | Port | Floating Network | "
                        "Project |\n"));
}

TEST_F(RunTest, AFloatingIpIsReleasedOrGivenBack) {
  const auto known = R"({"floatingips":[{"id":"f","floating_ip_address":"203.0.113.16"}]})";
  exchange.answer(200, known).answer(200, R"({"floatingip":{"id":"f"}})");
  run({"floating", "ip", "unset", "--port", "203.0.113.16"});
  EXPECT_EQ(exchange.lines().back(), "PUT /v2.0/floatingips/f");
  EXPECT_EQ(exchange.requests.back().body, R"({"floatingip":{"port_id":null}})");

  exchange.answer(200, known).answer(204, "");
  run({"floating", "ip", "delete", "203.0.113.16"});
  EXPECT_EQ(exchange.lines().at(2), "GET /v2.0/floatingips?floating_ip_address=203.0.113.16");
  EXPECT_EQ(exchange.lines().back(), "DELETE /v2.0/floatingips/f");
}

TEST_F(RunTest, SubnetsAreNamedWhereIdsAreSent) {
  const auto subnet = R"({"subnets":[{"id":"s-id"}]})";
  exchange.answer(200, subnet)
      .answer(200, subnet)
      .answer(201, R"({"loadbalancer":{"id":"lb-id"}})");
  run({"lb", "create", "--vip-subnet-id", "private", "--additional-vip",
       "subnet-id=other,ip-address=10.1.0.9"});
  EXPECT_THAT(exchange.lines(),
              ElementsAre("GET /v2.0/subnets?name=private", "GET /v2.0/subnets?name=other",
                          "POST /v2.0/lbaas/loadbalancers"));
  EXPECT_EQ(exchange.requests.back().body,
            R"({"loadbalancer":{"vip_subnet_id":"s-id","additional_vips":)"
            R"([{"subnet_id":"s-id","ip_address":"10.1.0.9"}]}})");
}

TEST_F(RunTest, SessionPersistenceIsAnObject) {
  exchange.answer(200, one_pool).answer(200, R"({"pool":{"id":"pool-id"}})");
  run({"pool", "set", "--session-persistence", "type=SOURCE_IP,persistence_timeout=60", "p"});
  EXPECT_EQ(exchange.requests.back().body,
            R"({"pool":{"session_persistence":{"type":"SOURCE_IP","persistence_timeout":"60"}}})");
  EXPECT_EQ(run({"pool", "set", "--session-persistence", "SOURCE_IP", "p"}).code, ExitCode::usage);
}

TEST_F(RunTest, FailoverPrintsNothing) {
  exchange.answer(200, one_load_balancer).answer(202, "");
  EXPECT_THAT(run({"lb", "failover", "lb"}).output, IsEmpty());
  EXPECT_EQ(exchange.lines().back(), "PUT /v2.0/lbaas/loadbalancers/lb-id/failover");
}

TEST_F(RunTest, ListsAreSortedHere) {
  exchange.answer(200, R"({"pools":[{"name":"b"},{"name":"a"}]})");
  EXPECT_EQ(run({"pool", "list", "--sort-column", "name", "-f", "value", "-c", "name"}).output,
            "a\nb\n");
  EXPECT_EQ(run({"pool", "list", "--sort-column", "size"}).code, ExitCode::usage);
  EXPECT_EQ(run({"pool", "show", "--sort-column", "name", "p"}).code, ExitCode::usage);
}

TEST_F(RunTest, DropsShowsOnlyReasonsThatOccurredUnlessAsked) {
  const auto reasons = R"({"reasons":[
      {"label":"no_flow","verdict":"drop","description":"d","packets":7},
      {"label":"no_member","verdict":"drop","description":"d","packets":0}]})";
  exchange.answer(200, reasons).answer(200, reasons);
  EXPECT_EQ(run({"drops", "-f", "value"}).output, "no_flow drop 7 d\n");
  EXPECT_EQ(run({"drops", "--all", "-f", "value", "-c", "reason"}).output, "no_flow\nno_member\n");
}

TEST_F(RunTest, TheNodeIsShownAndDrained) {
  const auto draining = R"({"node":{"name":"lb1","state":"DRAINING","reason":"",
      "announced_ipv4_vips":2,"announced_ipv6_vips":1,"seconds_until_withdrawal":9,
      "connections":40}})";
  exchange.answer(200, draining).answer(200, draining).answer(200, draining);
  EXPECT_THAT(run({"node", "show"}).output, HasSubstr("| seconds_until_withdrawal | 9 "));
  EXPECT_EQ(exchange.lines().back(), "GET /v1/node");
  EXPECT_EQ(run({"node", "drain", "-f", "value", "-c", "state"}).output, "DRAINING\n");
  EXPECT_EQ(exchange.lines().back(), "PUT /v1/node");
  EXPECT_EQ(exchange.requests.back().body, R"({"node":{"drained":true}})");
  run({"node", "undrain"});
  EXPECT_EQ(exchange.requests.back().body, R"({"node":{"drained":false}})");

  exchange.answer(200, draining).answer(200, draining).answer(200, draining).answer(204, "");
  run({"node", "show", "lb 2"});
  EXPECT_EQ(exchange.lines().back(), "GET /v1/nodes/lb%202");
  run({"node", "drain", "lb2"});
  EXPECT_EQ(exchange.lines().back(), "PUT /v1/nodes/lb2");
  run({"node", "undrain", "lb2"});
  EXPECT_EQ(exchange.lines().back(), "PUT /v1/nodes/lb2");
  EXPECT_EQ(run({"node", "remove", "lb2"}).code, ExitCode::done);
  EXPECT_EQ(exchange.lines().back(), "DELETE /v1/nodes/lb2");
  EXPECT_EQ(run({"node", "remove"}).code, ExitCode::usage);
  EXPECT_EQ(run({"node", "drain", "lb2", "lb3"}).code, ExitCode::usage);
  EXPECT_THAT(run({"node", "drain", "--help"}).output, HasSubstr("node drain [NODE]"));
}

TEST_F(RunTest, PeersAreListed) {
  exchange.answer(200, R"({"peers":[{"address":"10.0.0.2:9877","name":"lb2","state":"FOLLOWING",
      "behind":3,"missing":0,"replicas":5,"sent":7,"received":9}]})");
  EXPECT_EQ(run({"peer", "list", "-f", "value"}).output, "10.0.0.2:9877 lb2 FOLLOWING 3 0 5 7 9\n");
  EXPECT_EQ(exchange.lines().back(), "GET /v1/peers");
}

TEST_F(RunTest, NodesOfAFleetAreListedAndTheirStateRestored) {
  exchange.answer(200, R"({"nodes":[{"name":"lb1","version":"1","this_node":true,
      "applied_generation":7,"errors":0,"drained":false}]})");
  EXPECT_EQ(run({"node", "list", "-f", "value", "-c", "name", "-c", "applied_generation"}).output,
            "lb1 7\n");
  const auto cluster =
      R"({"cluster":{"prefix":"/sluice/","state":"REFUSED","reason":"etcd is empty",
      "generation":7,"nodes":1,"probe":"spread"}})";
  exchange.answer(200, cluster).answer(200, cluster);
  EXPECT_THAT(run({"cluster", "status"}).output, HasSubstr("| etcd is empty"));
  EXPECT_EQ(run({"cluster", "restore", "-f", "value", "-c", "state", "-c", "probe"}).output,
            "REFUSED\nspread\n");
  EXPECT_EQ(exchange.lines().back(), "POST /v1/cluster/restore");
  exchange.answer(200, R"({"cluster":{"state":"FOLLOWING","peer_key":"1, until lb2 has 2"}})");
  EXPECT_EQ(run({"cluster", "rotate-peer-key", "-f", "value", "-c", "peer_key"}).output,
            "1, until lb2 has 2\n");
  EXPECT_EQ(exchange.lines().back(), "POST /v1/cluster/rotate-peer-key");
}

TEST_F(RunTest, AnOptionWinsOverTheEnvironment) {
  environment = {{"SLUICE_SOCKET", "/from/environment"},
                 {"SLUICE_ENDPOINT", "http://10.0.0.1:9876"},
                 {"SLUICE_TOKEN", "secret"}};
  exchange.answer(200, no_listeners).answer(200, no_listeners);
  run({"listener", "list"});
  EXPECT_EQ(endpoint.host, "10.0.0.1");
  EXPECT_EQ(token, "secret");
  run({"listener", "list", "--socket", "/typed"});
  EXPECT_EQ(endpoint.host, "");
  EXPECT_EQ(endpoint.socket, "/typed");
}

TEST_F(RunTest, ACaptureIsStoppedHoweverItEnds) {
  const auto file = testing::TempDir() + "sluice-capture.pcap";
  const auto capture = [&] {
    exchange.requests.clear();
    return run({"capture", "-w", file, "--count", "1", "--reason", "drop", "-f", "value"});
  };
  constexpr auto path = "/v1/captures/c-id";
  exchange.answer(201, R"({"capture":{"id":"c-id"}})")
      .answer(200, R"({"packets":[],"more":false,"lost":0})")
      .answer(200, R"({"packets":[{"direction":"in","frame":"00ff"}],"more":true,"lost":3})")
      .answer(204, "");
  EXPECT_EQ(capture().output, "1\n1\n3\n" + file + "\n");
  EXPECT_EQ(exchange.requests[0].body, R"({"capture":{"reasons":["drop"]}})");
  EXPECT_THAT(exchange.lines(),
              ElementsAre("POST /v1/captures", std::string("GET ") + path + "/packets",
                          std::string("GET ") + path + "/packets", std::string("DELETE ") + path));

  exchange.answer(201, R"({"capture":{"id":"c-id"}})")
      .answer(500, R"({"faultstring":"out of order"})")
      .answer(204, "");
  EXPECT_THAT(capture().error, HasSubstr("out of order"));
  EXPECT_THAT(exchange.lines(), Contains(std::string("DELETE ") + path));
  std::remove(file.c_str());
}

TEST_F(RunTest, WithoutAnyOfThemTheDefaultSocketIsUsed) {
  exchange.answer(200, no_listeners);
  run({"listener", "list"});
  EXPECT_EQ(endpoint.socket, "/run/sluice/api.sock");
}

TEST_F(RunTest, WrongUsageSendsNothing) {
  EXPECT_EQ(run({"lb", "list", "--socket", "/s", "--endpoint", "http://h"}).code, ExitCode::usage);
  EXPECT_EQ(run({"lb", "list", "--endpoint", "ftp://h"}).code, ExitCode::usage);
  EXPECT_EQ(run({"lb", "list", "--token", "a\r\nEvil: 1"}).code, ExitCode::usage);
  EXPECT_EQ(run({"lb", "creat"}).code, ExitCode::usage);
  EXPECT_THAT(exchange.requests, IsEmpty());
}

TEST_F(RunTest, HelpAndVersionNeedNoServer) {
  EXPECT_THAT(run({"--version"}).output, HasSubstr("sluicectl "));
  EXPECT_EQ(run({"--help"}).code, ExitCode::done);
  EXPECT_THAT(exchange.requests, IsEmpty());
}

TEST_F(RunTest, AnUnreachableServerIsNoObjectsFault) {
  exchange.answers.push_back(fail(ErrorKind::system, "no sluiced answers"));
  const auto outcome = run({"lb", "list"});
  EXPECT_EQ(outcome.code, ExitCode::failed);
  EXPECT_EQ(outcome.error, "no sluiced answers");
}

constexpr auto entrance_with_users =
    R"json({"entrance":{"endpoint":"https://lb.example:9876","token":true,
    "identity":true,"users":[{"name":"alice","project_id":"0000"},{"name":"o'neil","project_id":"shop"}]}})json";

TEST_F(RunTest, openrc_is_for_the_user_that_was_named_and_holds_no_secret) {
  exchange.answer(200, entrance_with_users);
  const auto outcome = run({"openrc", "--user", "o'neil"});
  EXPECT_EQ(outcome.code, ExitCode::done) << outcome.error;
  EXPECT_THAT(exchange.lines(), ElementsAre("GET /v1/entrance"));
  for (const auto* line : {"export OS_AUTH_URL='https://lb.example:9876/identity/v3'\n",
                           "export OS_USERNAME='o'\\''neil'\n", "export OS_PROJECT_NAME='shop'\n",
                           "export OS_AUTH_TYPE='password'\n", "export OS_PASSWORD\n"}) {
    EXPECT_THAT(outcome.output, HasSubstr(line));
  }
}

TEST_F(RunTest, clouds_yaml_names_the_cloud) {
  exchange.answer(200, entrance_with_users);
  const auto outcome = run({"clouds-yaml", "--user", "alice", "--cloud", "lb"});
  EXPECT_EQ(outcome.code, ExitCode::done) << outcome.error;
  EXPECT_THAT(outcome.output, HasSubstr("clouds:\n  \"lb\":\n    auth_type: \"password\"\n"));
  EXPECT_THAT(outcome.output, HasSubstr("      username: \"alice\"\n"));
}

TEST_F(RunTest, which_user_must_be_clear) {
  exchange.answer(200, entrance_with_users).answer(200, entrance_with_users);
  EXPECT_EQ(run({"openrc"}).error,
            "openrc: there are several users (give --user with one of alice, o'neil)");
  EXPECT_EQ(run({"openrc", "--user", "bob"}).error,
            "openrc: there is no user 'bob' (give --user with one of alice, o'neil)");
}

TEST_F(RunTest, clients_find_a_service_without_signing_in_or_hear_that_there_is_none_over_tcp) {
  exchange
      .answer(200, R"({"entrance":{"endpoint":"http://127.0.0.1:9876","token":false,
                       "identity":false,"users":[]}})")
      .answer(200, R"({"entrance":{"endpoint":"","token":false,"identity":false,"users":[]}})");
  const auto outcome = run({"openrc"});
  EXPECT_THAT(outcome.output, HasSubstr("export OS_AUTH_TYPE='none'\n"));
  EXPECT_THAT(outcome.output, HasSubstr("export OS_ENDPOINT='http://127.0.0.1:9876'\n"));
  EXPECT_EQ(run({"openrc"}).error,
            "openrc: sluiced has no TCP listener, which OpenStack's clients need (start it with "
            "--listen ADDR:PORT)");
}

}  // namespace
}  // namespace sluice::ctl
