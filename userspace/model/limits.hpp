// Limits: the ranges of the API's attributes, and the sentences that refuse a value outside of
// them.
//
// Numbers and sentences are those of the OpenStack Load Balancer API v2. The decoder of requests
// uses them on values as they came (an int64 that would not fit the field), the edits on objects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// A range of allowed values, including both ends.
struct Range {
  std::int64_t lowest = 0;
  std::int64_t highest = 0;
};

inline constexpr Range port_range{1, 65535};
inline constexpr Range member_port_range{0, 65535};  // 0: the port to which the client connected
inline constexpr Range weight_range{0, 256};
inline constexpr Range retries_range{1, 10};  // max_retries and max_retries_down
inline constexpr Range connection_limit_range{-1, 2'147'483'647};
inline constexpr Range idle_timeout_range{1, 86'400};  // seconds; a day
// The longest of connections whose answers don't pass here: what the stamp of one slot of the data
// plane tells, 3.5 hours.
inline constexpr std::uint32_t longest_direct_idle_timeout = 12'600;
// A longer timeout_member_connect is as long as this, an hour: what the data plane can tell.
inline constexpr std::uint32_t longest_connect_tenths = 36'000;
inline constexpr Range max_connections_range{1, 2'147'483'647};
inline constexpr Range drain_timeout_range{0, 604'800};     // seconds; a week
inline constexpr Range slow_start_range{0, 86'400};         // seconds; a day
inline constexpr Range timeout_range_ms{0, 2'073'600'000};  // 24 days: a listener's timeout_*
inline constexpr Range seconds_range{0, 2'147'483'647};     // a monitor's delay and timeout
inline constexpr Range quota_range{-1, 2'000'000'000};

// This counts characters, not bytes.
inline constexpr std::size_t max_text_length =
    255;  // names, descriptions, tags, URL paths, domains
inline constexpr std::size_t max_project_id_length = 36;

// SNAT addresses of a load balancer, of either IP version.
inline constexpr std::size_t max_snat_addresses = 16;

// Names of the checks of EXTERNAL monitors.
inline constexpr std::size_t max_check_name_length = 64;
inline constexpr std::string_view name_of_check_rule =
    "Value should have 1 to 64 letters, digits, '.', '_' and '-', and begin with a letter or digit";
bool is_name_of_check(std::string_view text);

// "Invalid input for field/attribute weight. Value: '257'. <why>", ErrorKind::invalid.
tl::unexpected<Error> invalid_attribute(std::string_view attribute, std::string_view value,
                                        std::string_view why);

Result<void> check_range(std::string_view attribute, std::int64_t value, Range range);
Result<void> check_length(std::string_view attribute, std::string_view text,
                          std::size_t longest = max_text_length);

// Checks that the timeout and granularity of a pool's persistence fit its protocol.
Result<void> check_persistence(const Pool& pool);

}  // namespace sluice::model
