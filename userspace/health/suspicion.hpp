// Suspicion: what to make of new connections that fail at a member which its monitor has up. Pure;
// times are passed in.
//
// Such a member is probed at once, and again every second until it answers or is down. If many
// connections failed, or the first of these probes fails too, new connections are kept away from it
// meanwhile. A member that answers is cleared, and not suspected again for ten seconds: there is
// trouble that its monitor does not see (another port, a firewall against some clients), and
// whoever can make connections fail must not be able to keep a member away.
#pragma once

#include <chrono>
#include <optional>

#include "health/agenda.hpp"
#include "health/probe.hpp"

namespace sluice::health {

class Suspicion {
 public:
  using Time = Agenda::Clock::time_point;

  // How long a second lasts; tests shorten it.
  explicit Suspicion(std::chrono::milliseconds second) : second_(second) {}

  // Connections failed: one, or many in a second. True: the member is to be probed now.
  bool accuse(bool many, Time now);
  // What a probe said, and whether the member is still up by that and those before. Also ends when
  // this machine can't probe: nothing is known then.
  void hear(ProbeResult::Verdict verdict, bool still_up, Time now);

  bool keeps_away() const { return keeps_away_; }
  // When the member is to be probed again at the latest.
  std::optional<Time> next_probe(Time now) const;

 private:
  std::chrono::milliseconds second_;
  std::optional<Time> cleared_;
  bool open_ = false;
  bool keeps_away_ = false;
};

}  // namespace sluice::health
