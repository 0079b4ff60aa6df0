// The Monitor on a real event loop and real loopback servers; a second of the settings lasts 20 ms.
#include "health/monitor.hpp"

#include <gmock/gmock.h>

#include <set>

#include "test_server.hpp"

namespace sluice::health {
namespace {

using namespace std::chrono_literals;
using model::Health;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto second = 20ms;

// Notes the sockets whose packets should go to a VIP; they go to the member's own address.
class FakeVipProbes final : public VipProbes {
 public:
  class FakeTicket final : public Ticket {
   public:
    explicit FakeTicket(FakeVipProbes& owner) : owner_(owner) { ++owner_.tickets; }
    ~FakeTicket() override { --owner_.tickets; }
    bool used() const override { return owner_.used; }

   private:
    FakeVipProbes& owner_;
  };

  Result<std::unique_ptr<Ticket>> lead(const Packets& packets, const VipWay& way) override {
    EXPECT_GE(packets.socket, 0);
    EXPECT_EQ(packets.protocol, IPPROTO_TCP);
    EXPECT_EQ(way.vip, parse_ip_address("203.0.113.10").value());
    ++led;
    if (fails) return fail(ErrorKind::system, "no room");
    return std::make_unique<FakeTicket>(*this);
  }
  void rest() override { ++rests; }

  int led = 0, tickets = 0, rests = 0;
  bool used = true, fails = false;
};

class MonitorTest : public testing::Test {
 protected:
  MonitorTest() {
    settings.type = model::MonitorType::http;
    settings.delay_seconds = 1;
    settings.timeout_seconds = 100'000;  // longer than any test waits
    settings.max_retries = 1;
    settings.max_retries_down = 2;
  }

  Target target(boost::asio::ip::tcp::endpoint endpoint,
                std::optional<Health> known = std::nullopt) const {
    return {.member = member,
            .address = endpoint.address(),
            .port = endpoint.port(),
            .settings = std::make_shared<const model::HealthMonitor>(settings),
            .way = {},
            .known = known};
  }
  Monitor make_monitor() {
    return Monitor(
        context.get_executor(),
        [this](const auto& changes) {
          ++batches;
          for (const auto& change : changes) {
            EXPECT_TRUE(change.member == member || others.contains(change.member));
            const auto* state = change.suspected              ? "suspected: "
                                : change.health == Health::up ? "up: "
                                                              : "down: ";
            reports.push_back(state + change.reason);
          }
          if (on_report) on_report();
        },
        [this](const Uuid&, const std::string& reason) { troubles.push_back(reason); }, second,
        nullptr, &vips);
  }
  // Runs the loop until `condition`, for a minute at most.
  template <typename Condition>
  bool eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!condition() && std::chrono::steady_clock::now() < deadline) context.run_one_for(100ms);
    return condition();
  }
  void run_for(std::chrono::milliseconds time) { context.run_for(time); }

  Target asking_for_vip(boost::asio::ip::tcp::endpoint endpoint) const {
    auto asking = target(endpoint);
    asking.way = VipWay{parse_ip_address("203.0.113.10").value(), model::ForwardingMode::ipip};
    return asking;
  }

  boost::asio::io_context context;
  FakeVipProbes vips;
  const Uuid member = new_uuid();
  model::HealthMonitor settings;
  std::vector<std::string> reports;
  std::vector<std::string> troubles;
  std::set<Uuid> others;  // the members of tests with several
  int batches = 0;
  std::function<void()> on_report;
};

const char* const healthy = "HTTP/1.0 200 OK\r\n\r\n";

TEST_F(MonitorTest, AnUnknownMemberIsReportedAfterItsFirstProbeAndThenOnlyOnChange) {
  TestServer server(context, answer(healthy));
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint())});
  ASSERT_TRUE(eventually([&] { return server.connections() >= 4; }));
  EXPECT_THAT(reports, ElementsAre("up: HTTP 200"));
}

TEST_F(MonitorTest, AMemberThatFailsGoesDownAndOneThatRecoversComesUp) {
  const char* text = healthy;
  TestServer server(
      context,
      [&](TestServer::Socket& socket, std::string request) -> boost::asio::awaitable<void> {
        co_await answer(text)(socket, request);
      });
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint())});
  ASSERT_TRUE(eventually([&] { return reports.size() == 1; }));
  text = "HTTP/1.0 503 Busy\r\n\r\n";
  ASSERT_TRUE(eventually([&] { return reports.size() == 2; }));
  text = healthy;
  ASSERT_TRUE(eventually([&] { return reports.size() == 3; }));
  EXPECT_THAT(reports, ElementsAre("up: HTTP 200", "down: HTTP 503, expected 200", "up: HTTP 200"));
}

TEST_F(MonitorTest, AMemberKnownToBeUpNeedsTheWholeRunOfFailures) {
  TestServer server(context, answer("HTTP/1.0 503 Busy\r\n\r\n"));
  auto monitor = make_monitor();
  int probes_at_report = 0;
  on_report = [&] { probes_at_report = server.connections(); };
  settings.max_retries_down = 3;
  monitor.set_targets({target(server.endpoint(), Health::up)});
  ASSERT_TRUE(eventually([&] { return !reports.empty(); }));
  EXPECT_THAT(reports, ElementsAre("down: HTTP 503, expected 200"));
  EXPECT_EQ(probes_at_report, 3);
}

TEST_F(MonitorTest, AMemberKnownToBeUpThatIsUpIsNotReported) {
  TestServer server(context, answer(healthy));
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint(), Health::up)});
  ASSERT_TRUE(eventually([&] { return server.connections() >= 3; }));
  EXPECT_THAT(reports, IsEmpty());
}

TEST_F(MonitorTest, ProbesOfAMemberNeverOverlap) {
  TestServer server(context, hang());
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint())});
  ASSERT_TRUE(eventually([&] { return server.connections() == 1; }));
  run_for(10 * second);  // ten delays within the first probe's timeout
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(MonitorTest, ATargetThatIsTakenAwayEndsItsProbeAtOnceAndIsNotReported) {
  TestServer server(context, hang());
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint())});
  ASSERT_TRUE(
      eventually([&] { return server.connections() == 1 && !server.last_request().empty(); }));
  monitor.set_targets({});
  ASSERT_TRUE(eventually([&] { return server.closed_by_peer() == 1; }));
  run_for(3 * second);
  EXPECT_EQ(server.connections(), 1);
  EXPECT_THAT(reports, IsEmpty());
}

TEST_F(MonitorTest, AnEqualTargetKeepsItsProbeRunning) {
  TestServer server(context, hang());
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint())});
  ASSERT_TRUE(eventually([&] { return server.connections() == 1; }));
  settings.name = "renamed";
  monitor.set_targets({target(server.endpoint(), Health::down)});
  run_for(5 * second);
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(server.closed_by_peer(), 0);
}

TEST_F(MonitorTest, AChangedTargetIsProbedAnew) {
  TestServer slow(context, hang());
  auto monitor = make_monitor();
  monitor.set_targets({target(slow.endpoint())});
  ASSERT_TRUE(eventually([&] { return slow.connections() == 1 && !slow.last_request().empty(); }));
  TestServer quick(context, answer(healthy));
  monitor.set_targets({target(quick.endpoint())});
  ASSERT_TRUE(eventually([&] { return !reports.empty() && slow.closed_by_peer() == 1; }));
  EXPECT_THAT(reports, ElementsAre("up: HTTP 200"));
}

TEST_F(MonitorTest, TheListMayBeChangedFromWithinAReport) {
  TestServer server(context, answer(healthy));
  auto monitor = make_monitor();
  on_report = [&] { monitor.set_targets({}); };
  monitor.set_targets({target(server.endpoint())});
  ASSERT_TRUE(eventually([&] { return !reports.empty(); }));
  const auto probes = server.connections();
  run_for(5 * second);
  EXPECT_EQ(server.connections(), probes);
}

TEST_F(MonitorTest, ABurstOfChangesIsReportedInFewBatches) {
  auto monitor = make_monitor();
  std::vector<Target> targets;
  for (int i = 0; i < 200; ++i) {
    targets.push_back(target(refusing_endpoint(context)));
    targets.back().member = new_uuid();
    others.insert(targets.back().member);
  }
  monitor.set_targets(targets);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually([&] { return reports.size() == 200; }));
  // The first report is at once, then one every 20 ms, however long the burst took.
  EXPECT_LE(batches, 2 + (std::chrono::steady_clock::now() - start) / 20ms);
  EXPECT_LT(batches, 200);
}

TEST_F(MonitorTest, ADestroyedMonitorReportsNothing) {
  TestServer server(context, answer("HTTP/1.0 500 Oh no\r\n\r\n"));
  {
    auto monitor = make_monitor();
    monitor.set_targets({target(server.endpoint())});
  }
  run_for(5 * second);
  EXPECT_THAT(reports, IsEmpty());
}

TEST_F(MonitorTest, AMemberThatConnectionsFindDeadIsProbedAtOnce) {
  settings.delay_seconds = 1000;
  settings.max_retries_down = 3;
  auto monitor = make_monitor();
  monitor.set_targets({target(refusing_endpoint(context), Health::up)});
  monitor.suspect(member, false, "a new connection refused");
  EXPECT_THAT(monitor.suspects(), IsEmpty()) << "one may be an accident";
  ASSERT_TRUE(eventually([&] { return reports.size() == 1; }));
  EXPECT_THAT(monitor.suspects(), ElementsAre(member));
  ASSERT_TRUE(eventually([&] { return reports.size() == 2; }));
  EXPECT_THAT(reports, ElementsAre("suspected: connection refused", "down: connection refused"));
  EXPECT_THAT(monitor.suspects(), IsEmpty()) << "it is down, which says more";
}

TEST_F(MonitorTest, ManyFailuresKeepConnectionsAwayUntilTheMemberAnswers) {
  settings.delay_seconds = 1000;
  TestServer server(context, answer(healthy));
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint(), Health::up)});
  monitor.suspect(member, true, "new connections not answered");
  EXPECT_THAT(monitor.suspects(), ElementsAre(member));
  ASSERT_TRUE(eventually([&] { return reports.size() == 2; }));
  EXPECT_THAT(reports, ElementsAre("suspected: new connections not answered", "up: HTTP 200"));
  EXPECT_THAT(monitor.suspects(), IsEmpty());
}

TEST_F(MonitorTest, AProbeThatBeganBeforeTheSuspicionDoesNotClear) {
  settings.delay_seconds = 1000;
  TestServer server(context, hang());
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint(), Health::up)});
  ASSERT_TRUE(eventually([&] { return server.connections() == 1; }));
  monitor.suspect(member, true, "new connections not answered");
  ASSERT_TRUE(eventually([&] { return server.connections() == 2; }));
  EXPECT_EQ(server.closed_by_peer(), 1);
}

TEST_F(MonitorTest, SuspicionsOfMembersThatAreDownOrUnknownChangeNothing) {
  settings.delay_seconds = 1000;
  TestServer server(context, hang());
  auto monitor = make_monitor();
  monitor.set_targets({target(server.endpoint(), Health::down)});
  monitor.suspect(member, true, "new connections refused");
  monitor.suspect(new_uuid(), true, "new connections refused");
  run_for(3 * second);
  EXPECT_THAT(reports, IsEmpty());
  EXPECT_THAT(monitor.suspects(), IsEmpty());
}

TEST_F(MonitorTest, ADelayOfZeroDoesNotBecomeAStorm) {
  TestServer server(context, answer(healthy));
  settings.delay_seconds = 0;
  auto monitor = make_monitor();
  const auto start = std::chrono::steady_clock::now();
  monitor.set_targets({target(server.endpoint())});
  run_for(10 * second);
  EXPECT_LE(server.connections(), 2 + (std::chrono::steady_clock::now() - start) / second);
}

TEST_F(MonitorTest, AProbeOfAVipIsLedThereAndItsFailureNamesTheWay) {
  TestServer server(context, answer(healthy));
  auto monitor = make_monitor();
  monitor.set_targets({asking_for_vip(server.endpoint())});
  ASSERT_TRUE(eventually([&] { return server.connections() >= 3; }));
  EXPECT_THAT(reports, ElementsAre("up: HTTP 200"));
  EXPECT_GE(vips.led, 3);
  EXPECT_LE(vips.tickets, 1) << "that of the probe under way";
  monitor.set_targets({asking_for_vip(refusing_endpoint(context))});
  ASSERT_TRUE(eventually([&] { return reports.size() == 2; }));
  EXPECT_EQ(reports.back(), "down: connection refused through ipip, for VIP 203.0.113.10");
  EXPECT_EQ(vips.rests, 0);
  monitor.set_targets({target(server.endpoint())});
  EXPECT_EQ(vips.rests, 1);
  EXPECT_EQ(vips.tickets, 0);
}

TEST_F(MonitorTest, AnAnswerFromAMembersOwnAddressSaysNothingOfTheVip) {
  TestServer server(context, answer(healthy));
  vips.used = false;
  auto monitor = make_monitor();
  monitor.set_targets({asking_for_vip(server.endpoint())});
  ASSERT_TRUE(eventually([&] { return server.connections() >= 3; }));
  EXPECT_THAT(reports, IsEmpty());
  EXPECT_THAT(troubles, ElementsAre("probes through ipip, for VIP 203.0.113.10 leave by an "
                                    "interface that Sluice isn't attached to"));
}

TEST_F(MonitorTest, WhereNoProbeCanBeLedToAVipNoMemberChanges) {
  TestServer server(context, answer(healthy));
  vips.fails = true;
  auto monitor = make_monitor();
  monitor.set_targets({asking_for_vip(server.endpoint())});
  ASSERT_TRUE(eventually([&] { return vips.led >= 3; }));
  EXPECT_EQ(server.connections(), 0);
  EXPECT_THAT(reports, IsEmpty());
  EXPECT_THAT(troubles, ElementsAre("no room"));
}

}  // namespace
}  // namespace sluice::health
