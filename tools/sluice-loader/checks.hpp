// Checks: the findings that `check` shows and that `attach` warns of.
#pragma once

#include <string>
#include <vector>

#include "attachment/check.hpp"
#include "base/result.hpp"

namespace sluice::loader {

struct Checked {
  std::string interface;
  attachment::Finding finding;
};
// ErrorKind::not_found for an unknown interface.
Result<std::vector<Checked>> check_interfaces(const std::vector<std::string>& interfaces,
                                              const std::string& pin_directory);

}  // namespace sluice::loader
