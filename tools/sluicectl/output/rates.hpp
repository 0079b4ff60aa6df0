// Rates: what two answers of GET /v1/counters, and the time between them, say about the present.
// Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sluice::ctl {

// One listener or member, its counters since it was made.
struct Counted {
  std::string id, name, owner, address, status;  // `owner`: the load balancer, or the pool
  std::int64_t active = 0, opened = 0, failed = 0, refused = 0;
  std::int64_t packets_in = 0, packets_out = 0, bytes_in = 0, bytes_out = 0;
};

struct Snapshot {
  std::vector<Counted> listeners, members;
  struct Reason {
    std::string label, verdict;
    std::int64_t packets = 0;
  };
  std::vector<Reason> reasons;
};
// ErrorKind::internal for an answer of another shape.
Result<Snapshot> read_snapshot(const boost::json::object& counters);

// Per second; nothing where it can't be known: the object is new, or its counters began anew.
using Rate = std::optional<double>;
struct Load {
  Counted now;
  Rate opened, failed, refused, packets_in, packets_out, bits_in, bits_out;
};
struct ReasonRate {
  std::string label, verdict;
  std::int64_t packets = 0;
  Rate rate;
};
struct Screen {
  std::vector<Load> listeners, members;  // in the order of the answer
  std::vector<ReasonRate> reasons;       // of dropped packets that came, fastest first
};
// `before` nullptr: no rate is known.
Screen compare(const Snapshot* before, const Snapshot& now, double seconds);

// "1.2k", "950", "-".
std::string short_number(const Rate& rate);
// The screen as tables.
std::string text_of(const Screen& screen);

}  // namespace sluice::ctl
