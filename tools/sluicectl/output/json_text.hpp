// JSON for people: one attribute a line, in the order in which the object holds them.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace sluice::ctl {

// `indent` spaces per level, no newline at the end.
std::string pretty(const boost::json::value& value, int indent);

}  // namespace sluice::ctl
