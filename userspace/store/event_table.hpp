// The table of events: bounded by count (most_events) and age (longest_kept_event). Private to
// store/.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "model/event_record.hpp"
#include "store/sqlite.hpp"

namespace sluice::store {

Result<std::size_t> count_events(Connection& connection);

// Adds the events within the caller's transaction, and removes what goes beyond the bounds.
// `present` is the number of rows before; returns the number after.
Result<std::size_t> save_events(Connection& connection,
                                const std::vector<model::EventRecord>& events, std::size_t present,
                                model::Timestamp now);

Result<std::vector<model::EventRecord>> find_events(Connection& connection,
                                                    const model::EventQuery& query);

}  // namespace sluice::store
