// A record as a line of JSON. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "records/connection.hpp"

namespace sluice::records {

// Appends the record to `out`, with a newline. `names`: see names_as_json(). `wall_offset`: what
// the nanoseconds since 1970 are ahead of CLOCK_BOOTTIME.
void append_json_line(std::string& out, const Connection& connection, std::string_view names,
                      std::int64_t wall_offset);

}  // namespace sluice::records
