// CRUD: handlers of the verbs that every resource of the API has. What they send follows from the
// descriptions of options and positionals alone.
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

// Turns options and positionals into a request's attributes. `target` is the path of the object,
// whose present tags may be needed.
Result<boost::json::object> attributes(const Call& call, const std::string& target);

// The rows of show_stats.
const std::vector<std::string>& stats_rows();

}  // namespace sluice::ctl
