// ExpectedCodes: the HTTP status codes that count as healthy. Pure.
#pragma once

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::health {

class ExpectedCodes {
 public:
  // Parses "200", "200,202 , 204" or "200-204"; nullopt for anything else, which the API has
  // refused before.
  static std::optional<ExpectedCodes> parse(std::string_view text);

  bool contains(unsigned code) const;

 private:
  std::vector<std::pair<unsigned, unsigned>> ranges_;  // first..last, both included
};

}  // namespace sluice::health
