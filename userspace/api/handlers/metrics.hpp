// Metrics: everything that is counted, in Prometheus' text format.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/handlers/metric_rows.hpp"
#include "api/language/events.hpp"
#include "api/language/pieces.hpp"
#include "base/turn_times.hpp"
#include "control/controller.hpp"
#include "control/fleet.hpp"
#include "control/peers.hpp"
#include "control/vip_routes.hpp"
#include "records/recorder.hpp"

namespace sluice::api {

// What is told beside the controller's own; each may be missing.
struct MetricsSources {
  const TurnTimes* turns = nullptr;  // the event loop's
  const Events* events = nullptr;
  const control::VipRoutes* vip_routes = nullptr;  // how this node announces its VIPs
  const control::Fleet* fleet = nullptr;           // the other nodes
  const records::Recorder::Counts* records = nullptr;
  const control::Peers* peers = nullptr;  // that are told of connections
  MetricRows* rows = nullptr;  // kept from one scrape to the next; null: they are made each time
  std::string_view version = {}, revision = {};  // of the program
  // When the API's certificate ends.
  std::optional<std::chrono::system_clock::time_point> certificate_end = {};
};

// Reads the counters from the data plane. A part that can't be read is left out and counted by
// sluice_scrape_errors. The table of all metrics is in api/README.md.
std::string metrics(control::Controller& controller, const MetricsSources& sources = {});
// Reads them a part per turn of the event loop; `sources` must live until then. The page that
// `done` gets needs nothing any more.
void metrics(control::Controller& controller, const MetricsSources& sources,
             std::function<void(std::unique_ptr<Pieces>)> done);

}  // namespace sluice::api
