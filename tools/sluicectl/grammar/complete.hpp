// Completion for shells: the words that may come next on a command line.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

// The command line as far as it is typed.
struct Typed {
  Invocation invocation;             // its options so far; noun and verb as far as they are known
  const Option* awaiting = nullptr;  // the option whose value comes next
  std::vector<std::string> words;    // neither options nor the noun's and the verb's
  std::string current;               // the word that is being typed
};
Typed read_typed(const std::vector<std::string>& arguments);

// The names of a collection's objects; the second argument is the parent's name or id, or empty.
using Names = std::function<std::vector<std::string>(const Resource&, const std::string&)>;

// All words that may replace the current one, sorted. `names` is called only where the name of an
// object may come.
std::vector<std::string> candidates(const Typed& typed, const Names& names);

}  // namespace sluice::ctl
