// YAML text: quotes so that every reader gets the same types back: a string that looks like a
// number stays a string.
#pragma once

#include <string>
#include <vector>

#include "sluicectl/output/format.hpp"

namespace sluice::ctl {

// Says whether a reader would take the plain word for something else than text.
bool needs_quotes(const std::string& text);

// One "name: value" per line.
std::string yaml_map(const std::vector<std::string>& names, const std::vector<Cell>& cells);

// One map per row; "[]" if there are no rows.
std::string yaml_list(const std::vector<std::string>& names,
                      const std::vector<std::vector<Cell>>& rows);

}  // namespace sluice::ctl
