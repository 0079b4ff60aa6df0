// Rates: computes rates from two answers of GET /v1/counters and the time between them. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sluice::ctl {

// One listener or member with its counters since its creation.
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

  // How sluiced is; an older one doesn't tell.
  struct Loop {
    std::int64_t turns = 0, slow_turns = 0;
    double cpu_seconds = 0, longest_turn_seconds = 0;
  };
  std::optional<Loop> loop;
  std::string store_failure;       // empty: the store took the last commit
  double store_waits_seconds = 0;  // for how long it has been at the present one
  struct Table {
    std::string name;
    std::int64_t connections = 0, capacity = 0;
  };
  std::vector<Table> tables;  // of connections
  // Several nodes with one desired state; a node alone tells of none.
  struct Fleet {
    std::string state, reason;
    std::int64_t nodes = 0, generation = 0;
  };
  std::optional<Fleet> fleet;
};
// Reads an answer; ErrorKind::internal if it has another shape.
Result<Snapshot> read_snapshot(const boost::json::object& counters);

// A rate per second; nullopt if it is unknown, because the object is new or its counters began
// anew.
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
// A line about sluiced: "event loop", "busy 3.1 %, ...".
struct HealthLine {
  std::string subject, text;
};
struct Screen {
  std::string fleet;                     // its line above the tables; empty: the node is alone
  std::vector<Load> listeners, members;  // in the order of the answer
  std::vector<ReasonRate> reasons;       // of drops that happened, fastest first
  std::vector<HealthLine> health;
};
// Computes the rates; without `before` none is known.
Screen compare(const Snapshot* before, const Snapshot& now, double seconds);

// "1.2k", "950", "-".
std::string short_number(const Rate& rate);
// The screen as tables.
std::string text_of(const Screen& screen);

}  // namespace sluice::ctl
