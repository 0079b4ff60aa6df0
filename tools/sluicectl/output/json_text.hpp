// JSON for people: one attribute a line, in the object's order.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace sluice::ctl {

// `indent` spaces per level, no newline at the end.
std::string pretty(const boost::json::value& value, int indent);

}  // namespace sluice::ctl
