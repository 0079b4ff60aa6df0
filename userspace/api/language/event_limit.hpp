// EventLimit: keeps a member that flaps, or a client that is refused a thousand times, from
// displacing all other events. It admits `most` events about one subject in a span of time. It
// holds the newest further event back until the span is over, so that the last event in the list
// is the last one that happened.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/language/event.hpp"

namespace sluice::api {

class EventLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t most = 20;
  static constexpr auto span = std::chrono::minutes(1);

  // Says whether the event may be shown now. If not, the limit has taken it.
  bool admit(Event& event, Time now);
  // Returns the events whose span is over. Their messages say how many were dropped before them.
  std::vector<Event> due(Time now);

  // Returns how many events were dropped.
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Window {
    Time begun{};
    std::size_t admitted = 0;
    std::size_t dropped = 0;
    std::optional<Event> held;
  };
  std::unordered_map<std::string, Window> windows_;  // by subject
  std::uint64_t dropped_ = 0;
};

}  // namespace sluice::api
