// Metrics: everything that is counted, in Prometheus' text format.
#pragma once

#include <string>

#include "api/language/events.hpp"
#include "base/turn_times.hpp"
#include "control/controller.hpp"

namespace sluice::api {

// Reads the counters from the data plane. A part that can't be read is left out and counted by
// sluice_scrape_errors. `turns`: the event loop's. Both it and `events` may be null.
std::string metrics(control::Controller& controller, const TurnTimes* turns = nullptr,
                    const Events* events = nullptr);

}  // namespace sluice::api
