// Answers as YAML that every reader takes back as what it was: a string that looks like a number
// stays a string.
#pragma once

#include <string>
#include <vector>

#include "sluicectl/output/format.hpp"

namespace sluice::ctl {

// Would a reader take the plain word for something else than text?
bool needs_quotes(const std::string& text);

// One "name: value" a line.
std::string yaml_map(const std::vector<std::string>& names, const std::vector<Cell>& cells);

// One map per row; "[]" when there is none.
std::string yaml_list(const std::vector<std::string>& names,
                      const std::vector<std::vector<Cell>>& rows);

}  // namespace sluice::ctl
