// MetricsPage: what a scrape has read, as text, which is written while it is sent. With ten
// thousand load balancers that are 50 MB of text, made of 6 MB of figures.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/handlers/metric_rows.hpp"
#include "api/language/pieces.hpp"
#include "control/data_plane.hpp"

namespace sluice::api {

// The figures of an object of which there may be thousands, and its labels, which a row has.
struct Counted {
  std::string_view labels;
  control::Counters counters;
};
struct CountedMember : Counted {
  std::optional<bool> up = {};  // unset: not probed yet
  bool suspected = false;
};

// All that the page tells.
struct MetricFigures {
  std::string before = {}, after = {};  // the text of what there are few of
  MetricRows rows = {};
  // Unset: they can't be read.
  std::optional<std::vector<Counted>> listeners = {};
  std::optional<std::vector<CountedMember>> members = {};
  std::optional<control::HandshakesById> handshakes = {};  // of members
};

// Needs nothing but the figures: whoever was asked for them may be gone.
std::unique_ptr<Pieces> metrics_page(MetricFigures figures);

}  // namespace sluice::api
