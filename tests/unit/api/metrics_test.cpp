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
  EXPECT_GE(with_many - without_objects, 2 * load_balancers / 256 + 9 * load_balancers / 1024);
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

}  // namespace
}  // namespace sluice::api
