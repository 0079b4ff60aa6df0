// Cells: turns the API's JSON into the cells of an answer.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "sluicectl/grammar/command.hpp"
#include "sluicectl/output/format.hpp"

namespace sluice::ctl {

// Lists become their ids, one per line, maps key=value lines, a missing attribute an empty cell.
Cell to_cell(const boost::json::object& object, const std::string& field);

// The show table of an object.
Record to_record(const boost::json::object& object, const Resource& resource);

// The list of a collection, without entries that are not objects.
Listing to_listing(const boost::json::array& objects, const Resource& resource,
                   const std::vector<std::string>& columns);

}  // namespace sluice::ctl
