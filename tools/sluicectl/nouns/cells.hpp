// From the API's JSON to the cells of an answer.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "sluicectl/grammar/command.hpp"
#include "sluicectl/output/format.hpp"

namespace sluice::ctl {

// Ids of lists one per line, maps as key=value lines, an attribute that is missing as nothing.
Cell to_cell(const boost::json::object& object, const std::string& field);

// The show table of an object.
Record to_record(const boost::json::object& object, const Resource& resource);

// The list of a collection; entries that are no objects are left out.
Listing to_listing(const boost::json::array& objects, const Resource& resource,
                   const std::vector<std::string>& columns);

}  // namespace sluice::ctl
