// The metrics of many objects are read and written some at a time, and are the same as if that were
// done at once.
#include "api/handlers/metrics.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <deque>
#include <sstream>

#include "api/handlers/metrics_page.hpp"
#include "api_fixture.hpp"
#include "model/edit.hpp"

namespace sluice::api {
namespace {

constexpr unsigned load_balancers = 700;

// The lines without those that time changes.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("process_cpu_seconds_total")) lines.push_back(line);
  }
  return lines;
}
std::size_t count(const std::vector<std::string>& lines, const std::string& beginning) {
  return static_cast<std::size_t>(
      std::ranges::count_if(lines, [&](const auto& line) { return line.starts_with(beginning); }));
}

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
  static std::string text_of(Pieces& page) {
    std::string text;
    while (!page.append_next(text)) continue;
    return text;
  }

  std::deque<std::function<void()>> turns_;
  std::unique_ptr<Pieces> page_;
};

TEST_F(MetricsTest, ThousandsOfRowsAreMadeInManyTurns) {
  controller().work_in_slices([this](auto turn) { turns_.push_back(std::move(turn)); },
                              std::chrono::nanoseconds(0));
  const auto turns_of_a_scrape = [&] {
    const MetricsSources sources;
    metrics(controller(), sources, [&](auto page) { page_ = std::move(page); });
    return run_turns();
  };
  const auto without_objects = turns_of_a_scrape();
  add_many();
  run_turns();
  // Two kinds are new, and have rows; the last part of one may be done in the next one's turn.
  EXPECT_GE(turns_of_a_scrape() - without_objects,
            2 * (load_balancers / 256 + load_balancers / 256));
}

// So many samples are made in a turn of the event loop, and no more are held at a time.
TEST(MetricsPageTest, APieceHasAFewHundredSamplesHoweverManyThereAre) {
  constexpr std::size_t objects = 3000, most_lines = 512 + 20;
  MetricFigures figures{.before = "# before\n", .after = "# after\n"};
  std::vector<LabelRow> rows(objects);
  for (std::size_t i = 0; i < objects; ++i) {
    rows[i].id.data[0] = static_cast<std::uint8_t>(i >> 8U);
    rows[i].id.data[1] = static_cast<std::uint8_t>(i);
    rows[i].labels = fmt::format("id=\"{}\"", i);
  }
  auto& handshakes = figures.handshakes.emplace();
  for (const auto& row : rows)
    handshakes[row.id] = {{{1'000, 1}, {2'000, 1}, {UINT64_MAX, 1}}, 9'000};
  figures.rows.members = std::make_shared<std::vector<LabelRow>>(rows);
  auto& members = figures.members.emplace();
  for (const auto& row : rows) members.push_back({{row.labels, {.flows_opened = UINT64_MAX}}});
  const auto page = metrics_page(std::move(figures));

  std::string text;
  for (bool last = false; !last;) {
    std::string piece;
    last = page->append_next(piece);
    ASSERT_LE(std::ranges::count(piece, '\n'), most_lines);
    text += piece;
  }
  EXPECT_TRUE(text.starts_with("# before\n"));
  EXPECT_TRUE(text.ends_with("\n# after\n"));
  const auto lines = lines_of(text);
  EXPECT_EQ(count(lines, "sluice_member_connections_total{"), objects);
  EXPECT_EQ(count(lines, "sluice_member_suspected{"), objects);
  EXPECT_EQ(count(lines, "sluice_member_up{"), 0U) << "nobody was probed";
  EXPECT_EQ(count(lines, "sluice_member_handshake_seconds_bucket{"), 2 * objects);
  EXPECT_THAT(lines, testing::Contains(
                         "sluice_member_connections_total{id=\"2999\"} 18446744073709551615"));
  EXPECT_THAT(lines,
              testing::Contains("sluice_member_handshake_seconds_bucket{id=\"7\",le=\"+Inf\"} 3"));
  EXPECT_EQ(std::set(lines.begin(), lines.end()).size(), lines.size()) << "each line once";
  EXPECT_EQ(text.find("sluice_listener"), std::string::npos) << "these could not be read";
}

// A slow client may still take it when its server is gone.
TEST_F(MetricsTest, APageNeedsNothingOfWhatItTells) {
  add_many();
  std::unique_ptr<Pieces> page;
  std::string expected;
  {
    MetricRows rows;
    const MetricsSources sources{.rows = &rows};
    metrics(controller(), sources, [&](auto made) { page = std::move(made); });
    expected = metrics(controller());
  }
  controller().submit(
      [this] {
        return controller().change([](model::Model& model) -> Result<void> {
          model = {};
          return {};
        });
      },
      [](const Result<void>&) {});
  EXPECT_EQ(lines_of(text_of(*page)), lines_of(expected));
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
  std::unique_ptr<Pieces> first, second;
  const MetricsSources sources{.rows = &rows};
  metrics(controller(), sources, [&](auto page) { first = std::move(page); });
  controller().work_in_slices({}, {});  // all at once from here on, but for the first scrape
  create_load_balancer("10.9.0.1", "later");
  metrics(controller(), sources, [&](auto page) { second = std::move(page); });
  EXPECT_FALSE(first) << "it waits for its next turn";
  run_turns();
  constexpr auto* family = "sluice_load_balancer_status{";
  EXPECT_EQ(count(lines_of(text_of(*first)), family), load_balancers);
  EXPECT_EQ(count(lines_of(text_of(*second)), family), load_balancers + 1);
  EXPECT_EQ(lines_of(metrics(controller(), sources)), lines_of(metrics(controller())));
}

}  // namespace
}  // namespace sluice::api
