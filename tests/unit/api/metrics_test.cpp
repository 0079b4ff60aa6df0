// The metrics of many objects are written some at a time, and are the same as if they were written
// at once.
#include "api/handlers/metrics.hpp"

#include <gmock/gmock.h>

#include <deque>
#include <sstream>

#include "api_fixture.hpp"
#include "model/edit.hpp"

namespace sluice::api {
namespace {

constexpr unsigned load_balancers = 700;

class MetricsTest : public ApiTest {
 protected:
  void add_many() {
    controller().submit(
        [this] {
          return controller().change([](model::Model& model) -> Result<void> {
            for (unsigned number = 0; number < load_balancers; ++number) {
              model::LoadBalancer load_balancer;
              load_balancer.vip_address = boost::asio::ip::address_v4(0x0a000001U + number);
              const auto owner = model::add(model, load_balancer, {});
              if (!owner) return tl::unexpected(owner.error());
              model::Listener listener;
              listener.load_balancer_id = *owner;
              listener.protocol_port = 80;
              if (auto added = model::add(model, listener, {}); !added)
                return tl::unexpected(added.error());
            }
            return {};
          });
        },
        [](const Result<void>& done) { ASSERT_TRUE(done) << done.error().text(); });
  }
  // Gives the event loop's turns; returns how many.
  unsigned run_turns() {
    unsigned count = 0;
    for (; !turns_.empty(); ++count) {
      const auto turn = std::move(turns_.front());
      turns_.pop_front();
      turn();
    }
    return count;
  }
  // The lines without those that time changes.
  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (!line.starts_with("process_cpu_seconds_total")) lines.push_back(line);
    }
    return lines;
  }
  static std::size_t count(const std::vector<std::string>& lines, const std::string& beginning) {
    return static_cast<std::size_t>(std::ranges::count_if(
        lines, [&](const auto& line) { return line.starts_with(beginning); }));
  }

  std::deque<std::function<void()>> turns_;
};

TEST_F(MetricsTest, ThousandsOfSamplesAreWrittenInManyTurns) {
  controller().work_in_slices([this](auto turn) { turns_.push_back(std::move(turn)); },
                              std::chrono::nanoseconds(0));
  std::string text;
  const auto turns_of_a_scrape = [&] {
    const MetricsSources sources;
    metrics(controller(), sources, [&](std::string all) { text = std::move(all); });
    return run_turns();
  };
  const auto without_objects = turns_of_a_scrape();
  add_many();
  run_turns();
  const auto with_many = turns_of_a_scrape();
  const auto lines = lines_of(text);
  EXPECT_EQ(count(lines, "sluice_listener_connections_total{"), load_balancers);
  EXPECT_EQ(count(lines, "sluice_load_balancer_status{"), load_balancers);
  // Two kinds have rows and families, of which the last part may be done in the next one's turn.
  EXPECT_GE(with_many - without_objects, 2 * load_balancers / 256 + 8 * load_balancers / 1024 - 2);
  EXPECT_EQ(lines, lines_of(metrics(controller()))) << "as if they were written at once";
}

// Prometheus wants a family's samples side by side, after its announcement.
TEST_F(MetricsTest, AFamilyIsAnnouncedOnceBeforeItsSamples) {
  add_many();
  std::set<std::string> announced;
  std::string family;
  for (const auto& line : lines_of(metrics(controller()))) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(announced.insert(family).second) << family;
    } else if (!line.starts_with("#")) {
      EXPECT_TRUE(line.starts_with(family)) << line << " after " << family;
    }
  }
}

// What a scrape puts into words is counted, so that no load of the machine changes it.
TEST_F(MetricsTest, OnlyWhatHasChangedSinceTheLastScrapeIsPutIntoWords) {
  add_many();
  MetricRows rows;
  const auto made = [&] {
    const auto before = rows.made;
    (void)metrics(controller(), {.rows = &rows});
    return rows.made - before;
  };
  EXPECT_EQ(made(), 2 * load_balancers);
  EXPECT_EQ(made(), 0U);
  const auto& owner = controller().model().load_balancers.begin()->first;
  put("/v2/lbaas/loadbalancers/" + to_string(owner), R"({"loadbalancer": {"name": "other"}})");
  EXPECT_EQ(made(), 2U) << "its own row, and its listener's";
  EXPECT_EQ(made(), 0U);
}

TEST_F(MetricsTest, AKeptRowSaysWhatANewOneWould) {
  MetricRows rows;
  const auto expect_same = [&](const std::string& after) {
    EXPECT_EQ(lines_of(metrics(controller(), {.rows = &rows})), lines_of(metrics(controller())))
        << "after " << after;
  };
  const auto changed = [&](const std::string& path, const std::string& body) {
    EXPECT_EQ(put("/v2/lbaas/" + path, body).status, 200) << path << body;
    expect_same(path + " " + body);
  };
  expect_same("the start");
  const auto owner = create_load_balancer();
  const auto other = create_load_balancer("10.0.0.17", "second");
  expect_same("load balancers");
  const auto listener = create_listener(owner), second = create_listener(other);
  const auto pool = create_pool(listener);
  const auto members = "pools/" + pool + "/members";
  const auto a = create_member(pool), b = create_member(pool, "10.0.0.5");
  const auto monitor = create_monitor(pool);
  expect_same("a pool with members");
  changed("loadbalancers/" + owner, R"({"loadbalancer": {"name": "renamed"}})");
  changed("pools/" + pool, R"({"pool": {"name": "renamed"}})");
  changed("listeners/" + listener, R"({"listener": {"name": "renamed \"twice\""}})");
  changed(members + "/" + a, R"({"member": {"name": "renamed"}})");
  changed(members + "/" + a, R"({"member": {"weight": 0}})");
  changed(members + "/" + b, R"({"member": {"admin_state_up": false}})");
  changed(members + "/" + b, R"({"member": {"admin_state_up": true}})");
  controller().set_health({{*parse_uuid(b), model::Health::down}});
  expect_same("a member is down");
  controller().set_health({{*parse_uuid(b), model::Health::up}});
  expect_same("it is up again");
  changed("listeners/" + listener, R"({"listener": {"connection_limit": 1}})");
  data_plane_.listener_counts[*parse_uuid(listener)].flows_opened = 1;
  expect_same("a listener is full");
  EXPECT_THAT(metrics(controller(), {.rows = &rows}), testing::HasSubstr(R"(="DEGRADED")"));
  changed("loadbalancers/" + owner, R"({"loadbalancer": {"admin_state_up": false}})");
  EXPECT_EQ(del("/v2/lbaas/healthmonitors/" + monitor).status, 204U);
  EXPECT_EQ(del("/v2/lbaas/" + members + "/" + a).status, 204U);
  expect_same("a member is gone");
  EXPECT_EQ(del("/v2/lbaas/pools/" + pool).status, 204U);
  expect_same("its pool is gone");
  EXPECT_EQ(del("/v2/lbaas/loadbalancers/" + owner + "?cascade=true").status, 204U);
  expect_same("its load balancer is gone");
  changed("listeners/" + second, R"({"listener": {"name": "the last one"}})");
}

// Another scrape may begin before the first one has ended.
TEST_F(MetricsTest, AScrapeTellsOfTheObjectsThatThereWereWhenItBegan) {
  MetricRows rows;
  add_many();
  controller().work_in_slices([this](auto turn) { turns_.push_back(std::move(turn)); },
                              std::chrono::nanoseconds(0));
  std::string first, second;
  const MetricsSources sources{.rows = &rows};
  metrics(controller(), sources, [&](std::string all) { first = std::move(all); });
  controller().work_in_slices({}, {});  // all at once from here on, but for the first scrape
  create_load_balancer("10.9.0.1", "later");
  metrics(controller(), sources, [&](std::string all) { second = std::move(all); });
  EXPECT_EQ(first, "") << "it waits for its next turn";
  run_turns();
  EXPECT_EQ(count(lines_of(first), "sluice_load_balancer_status{"), load_balancers);
  EXPECT_EQ(count(lines_of(second), "sluice_load_balancer_status{"), load_balancers + 1);
  EXPECT_EQ(lines_of(metrics(controller(), sources)), lines_of(metrics(controller())));
}

}  // namespace
}  // namespace sluice::api
