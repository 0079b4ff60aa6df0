// Table: rows of text under named columns, printed as the OpenStack client does.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace sluice::loader {

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  // Returns only these columns, in this order; ErrorKind::invalid lists the known ones.
  Result<Table> only(const std::vector<std::string>& names) const;

  std::string as_table() const;   // framed
  std::string as_values() const;  // one row a line, blanks between
  std::string as_json() const;    // an array of objects
};

}  // namespace sluice::loader
