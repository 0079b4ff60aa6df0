// The verbs that every resource of the API has, as handlers for the noun tables: what is sent
// follows from the options' and positionals' descriptions alone.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

Result<Answer> create(const Call& call);
Result<Answer> list(const Call& call);
Result<Answer> show(const Call& call);
Result<Answer> set(const Call& call);  // unset too: its options send null
Result<Answer> remove(const Call& call);
Result<Answer> failover(const Call& call);
Result<Answer> show_stats(const Call& call);
Result<Answer> show_status(const Call& call);

// What the options and positionals say, as attributes of a request. `target`: the path of the
// object whose present tags are changed, if any are.
Result<boost::json::object> attributes(const Call& call, const std::string& target);

// The rows of show_stats.
const std::vector<std::string>& stats_rows();

}  // namespace sluice::ctl
