// monitors_prober TYPE MEMBERS PORT DELAY SECONDS: probes members on loopback addresses with the
// real Monitor and prints the cost to this process. See monitors.py.
#include <fmt/format.h>
#include <sys/resource.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdlib>
#include <string>

#include "health/monitor.hpp"
#include "model/names.hpp"

namespace {

using namespace sluice;
using namespace std::chrono_literals;

struct Cpu {
  double user = 0, system = 0;

  static Cpu now() {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return {seconds(usage.ru_utime), seconds(usage.ru_stime)};
  }
};

// Each member has an address of its own, from 127.1.0.0 on, so that no two probes are alike.
std::vector<health::Target> loopback_members(model::MonitorType type, std::uint32_t count,
                                             std::uint16_t port, std::uint32_t delay) {
  model::HealthMonitor settings;
  settings.type = type;
  settings.delay_seconds = delay;
  settings.timeout_seconds = 5;
  const auto shared = std::make_shared<const model::HealthMonitor>(settings);
  std::vector<health::Target> targets;
  for (std::uint32_t i = 0; i < count; ++i) {
    targets.push_back({.member = new_uuid(),
                       .address = boost::asio::ip::address_v4(0x7f010000 + i),
                       .port = port,
                       .settings = shared,
                       .way = {},
                       .known = {}});
  }
  return targets;
}

}  // namespace

int main(int argc, char** argv) {
  const auto type = argc == 6 ? model::parse_monitor_type(argv[1]) : std::nullopt;
  if (!type) {
    fmt::print(stderr, "Usage: monitors_prober TYPE MEMBERS PORT DELAY SECONDS\n");
    return 2;
  }
  const auto count = static_cast<std::uint32_t>(std::atoi(argv[2]));
  const auto port = static_cast<std::uint16_t>(std::atoi(argv[3]));
  const auto delay = static_cast<std::uint32_t>(std::atoi(argv[4]));
  const std::chrono::seconds window(std::atoi(argv[5]));

  boost::asio::io_context loop(1);
  unsigned up = 0, down = 0;
  std::string trouble;
  health::Monitor monitor(
      loop.get_executor(),
      [&](const auto& changes) {
        for (const auto& change : changes) ++(change.health == model::Health::up ? up : down);
      },
      [&](const Uuid&, const std::string& reason) { trouble = reason; });
  monitor.set_targets(loopback_members(*type, count, port, delay));

  loop.run_for(1s + (delay + 1) * 1s);  // all have had their first probes, and keep their pace
  // "ready" and "done" tell the script when to read the kernel's counters.
  fmt::print("ready\n");
  std::fflush(stdout);
  const auto before = Cpu::now();
  const auto start = std::chrono::steady_clock::now();
  loop.run_for(window);
  const auto after = Cpu::now();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  fmt::print(R"({{"up": {}, "down": {}, "trouble": "{}", "seconds": {}, "user": {}, "system": {}}})"
             "\n",
             up, down, trouble, took.count(), after.user - before.user,
             after.system - before.system);
  return 0;
}
