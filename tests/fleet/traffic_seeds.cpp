#include "tests/fleet/traffic_seeds.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "tests/fleet/traffic.hpp"

namespace sluice::fleet::test {
namespace {

TrafficSettings settings_of(std::uint64_t seed) {
  constexpr std::size_t sizes[] = {2, 3, 3, 4};
  const auto one_of = [&](std::uint64_t count) { return seed / 16 % count == 0; };
  TrafficSettings settings;
  settings.nodes = sizes[seed % std::size(sizes)];
  settings.is_calm = seed / 4 % 2 == 0;
  settings.has_one_way = seed / 8 % 4 == 0;
  // Either connections live on by refreshes, or these come too late to make good what was lost.
  settings.idle = seed / 8 % 2 == 0 ? Time(6'000) : Time(3'600'000);
  if (settings.is_calm) return settings;
  settings.is_deathless = !settings.is_brief() && seed / 16 % 2 == 1;
  if (settings.is_deathless) return settings;
  if (one_of(5)) settings.share = 6;
  if (one_of(3)) settings.ring = 4;
  if (one_of(2)) settings.kept = 8;
  return settings;
}

}  // namespace

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const auto* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::vector<std::string> run_traffic(std::uint64_t seed, TableFault fault) {
  static const Time life(static_cast<int>(number_from("SLUICE_FLEET_LIFE", 3'000)));
  auto settings = settings_of(seed);
  settings.fault = fault;
  Traffic traffic(seed, settings);
  traffic.live(life);
  if (settings.rolls()) traffic.roll();
  traffic.settle();
  return traffic.check();
}

std::uint64_t first_seed_that_finds(std::string_view text, TableFault fault) {
  constexpr std::uint64_t most_seeds = 300;
  for (std::uint64_t seed = 1; seed <= most_seeds; seed++) {
    const auto has_it = [&](const auto& line) { return line.find(text) != line.npos; };
    if (std::ranges::any_of(run_traffic(seed, fault), has_it)) return seed;
  }
  return 0;
}

}  // namespace sluice::fleet::test
