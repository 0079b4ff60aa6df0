// Suspicion: judges new connections that fail at a member which is up. Pure; times are passed in.
//
// Such a member is probed at once, and again every second until it answers or is down. If many
// connections failed, or the first of these probes fails too, new connections are kept away from it
// meanwhile. A member that answers is cleared and not suspected again for ten seconds: a client
// that can make connections fail must not be able to keep a member away.
#pragma once

#include <chrono>
#include <optional>

#include "health/agenda.hpp"
#include "health/probe.hpp"

namespace sluice::health {

class Suspicion {
 public:
  using Time = Agenda::Clock::time_point;

  // `second` is the length of a second; tests shorten it.
  explicit Suspicion(std::chrono::milliseconds second) : second_(second) {}

  // Notes that one connection failed, or many in a second. Returns true if the member must be
  // probed now.
  bool accuse(bool many, Time now);
  // Takes a probe's verdict; `still_up` is the member's state after it. Suspicion also ends when
  // this machine can't probe, because nothing is known then.
  void hear(ProbeResult::Verdict verdict, bool still_up, Time now);

  bool keeps_away() const { return keeps_away_; }
  // The latest time at which the member must be probed again.
  std::optional<Time> next_probe(Time now) const;

 private:
  std::chrono::milliseconds second_;
  std::optional<Time> cleared_;
  bool open_ = false;
  bool keeps_away_ = false;
};

}  // namespace sluice::health
