// Readings: what the status page's surveys have in common: counters, packets by reason, and when
// members changed their state. However many look at the page, each is read once.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/language/events.hpp"
#include "api/page/tracks.hpp"
#include "control/controller.hpp"

namespace sluice::api {

class Readings {
 public:
  struct Reason {
    control::ReasonCount count;
    std::int64_t rate = 0;  // packets per second, in tenths
  };
  // A member's last change of state.
  struct Change {
    model::Timestamp time;
    std::string text;
  };

  // Both must outlive this.
  Readings(control::Controller& controller, const Events& events)
      : controller_(controller), events_(events) {}

  // Reads the counters. A data plane that can't be read is a problem.
  void read_counters(Tracks::Time now);
  // Takes what events have told since the last call.
  void note_changes();

  const Tracks& tracks() const { return tracks_; }
  const std::vector<Reason>& reasons() const { return reasons_; }
  const std::string& problem() const { return problem_; }  // empty: none
  // Null: it is not known.
  const Change* last_change(const Uuid& member) const;

 private:
  void read_reasons(double seconds);

  control::Controller& controller_;
  const Events& events_;
  Tracks tracks_;
  std::vector<Reason> reasons_;
  std::string problem_;
  std::unordered_map<std::string, Change> member_changes_;  // by member id
  std::uint64_t noted_event_ = 0;                           // the last one that was looked at
};

}  // namespace sluice::api
