// The verbs of sluice-loader. Each parses its own arguments and returns the exit code: 0 done, 1
// failed, 2 wrong usage.
#pragma once

#include <string>
#include <vector>

namespace sluice::loader {

using Arguments = std::vector<std::string>;

int run_attach(const Arguments& arguments);
int run_check(const Arguments& arguments);
int run_detach(const Arguments& arguments);
int run_status(const Arguments& arguments);
int run_upgrade(const Arguments& arguments);

struct Verb {
  const char* name;
  const char* summary;
  int (*run)(const Arguments&);
};
inline constexpr Verb verbs[] = {
    {"attach", "put Sluice on network interfaces", run_attach},
    {"check", "what stands in the way on an interface, and what mends it", run_check},
    {"detach", "take it off; with --all also remove its maps", run_detach},
    {"status", "interfaces, programs, maps and how full they are", run_status},
    {"upgrade", "swap this build's program in under live traffic", run_upgrade},
};

}  // namespace sluice::loader
