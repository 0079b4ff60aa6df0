// ExpectedCodes: which HTTP status codes count as healthy. Pure.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::health {

class ExpectedCodes {
 public:
  // "200", "200,202 , 204" or "200-204"; nullopt for anything else. (The API refuses other texts
  // before they get here.)
  static std::optional<ExpectedCodes> parse(std::string_view text);

  bool contains(unsigned code) const;

 private:
  std::vector<std::pair<unsigned, unsigned>> ranges_;  // first..last, both included
};

}  // namespace sluice::health
