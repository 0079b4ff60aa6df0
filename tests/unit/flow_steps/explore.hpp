// Explore: a search through every order in which several CPUs can take their steps on a small
// world, breadth first, so that it finds the shortest way to a forbidden state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace sluice::test {

struct Finding {
  std::string fault;               // empty: none
  std::vector<std::string> steps;  // that lead there
  std::size_t states = 0;          // number of different states
  std::string text() const {
    std::string text = fault.empty() ? "no fault" : fault;
    for (const auto& step : steps) text += "\n  " + step;
    return text;
  }
};

struct Step {
  std::string what;   // what the CPU does
  std::string fault;  // in this step; empty: none
};

// Goes from `start` on. A World consists of bytes only, so that two can be compared as memory.
// `take` has a CPU take its next step; nullopt: the CPU waits or has finished. `fault_at_rest`
// looks at a world where no CPU can go on.
template <typename World, typename Take, typename FaultAtRest>
Finding explore(const World& start, std::size_t cpus, Take take, FaultAtRest fault_at_rest) {
  static_assert(std::has_unique_object_representations_v<World>);
  struct Hash {
    std::size_t operator()(const World& world) const {
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(&world), sizeof world});
    }
  };
  struct Equal {
    bool operator()(const World& a, const World& b) const {
      return std::memcmp(&a, &b, sizeof a) == 0;
    }
  };
  struct Reached {
    const World* world;
    std::size_t from;
    std::size_t cpu;  // whose step led here
  };
  std::unordered_set<World, Hash, Equal> known;
  std::vector<Reached> reached{{&*known.insert(start).first, 0, 0}};
  const auto report = [&](const std::string& fault, std::size_t last) {
    Finding finding{fault, {}, reached.size()};
    for (; last != 0; last = reached[last].from) {
      World world = *reached[reached[last].from].world;
      finding.steps.push_back(take(world, reached[last].cpu)->what);
    }
    std::reverse(finding.steps.begin(), finding.steps.end());
    return finding;
  };
  for (std::size_t i = 0; i < reached.size(); ++i) {
    bool moved = false;
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
      World next = *reached[i].world;
      const std::optional<Step> step = take(next, cpu);
      if (!step) continue;
      moved = true;
      const auto [world, is_new] = known.insert(next);
      if (!is_new && step->fault.empty()) continue;
      reached.push_back({&*world, i, cpu});
      if (!step->fault.empty()) return report(step->fault, reached.size() - 1);
    }
    if (moved) continue;
    if (const std::string fault = fault_at_rest(*reached[i].world); !fault.empty())
      return report(fault, i);
  }
  return {"", {}, reached.size()};
}

}  // namespace sluice::test
