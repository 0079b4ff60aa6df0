// Metrics: everything that is counted, in Prometheus' text format.
#pragma once

#include <string>

#include "base/turn_times.hpp"
#include "control/controller.hpp"

namespace sluice::api {

// Counters are read from the data plane now. A part that can't be read is left out, and
// sluice_scrape_errors counts it.
// `turns`: of the event loop; may be null.
std::string metrics(control::Controller& controller, const TurnTimes* turns = nullptr);

}  // namespace sluice::api
