// sluice-loader: attaches the XDP program to NICs and detaches it.
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <iostream>
#include <string>

#include "base/version.hpp"
#include "options.hpp"
#include "verbs.hpp"

namespace sluice::loader {
namespace {

void print_help() {
  fmt::print(
      "Usage: sluice-loader VERB [arguments]\n\n"
      "Puts Sluice's XDP program on network interfaces and takes it off. Program, maps and links "
      "are\n"
      "pinned: traffic keeps flowing when every Sluice process is dead.\n\nVerbs:\n");
  for (const auto& verb : verbs) fmt::print("  {:<8} {}\n", verb.name, verb.summary);
  fmt::print(
      "\nOptions:\n  --help     this text; after a verb: its own\n  --version  the version\n\n"
      "Examples:\n"
      "  sluice-loader check eth0\n"
      "  sluice-loader attach eth0\n"
      "  sluice-loader status\n"
      "  sluice-loader upgrade\n"
      "  sluice-loader detach eth0\n");
}

int run(const Arguments& arguments) {
  if (arguments.empty()) {
    fmt::print(std::cerr, "sluice-loader: a verb is missing (see: sluice-loader --help)\n");
    return wrong_usage;
  }
  const auto& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") {
    print_help();
    return done;
  }
  if (first == "--version") {
    fmt::print("{}", version_of("sluice-loader"));
    return done;
  }
  for (const auto& verb : verbs) {
    if (first == verb.name) return verb.run({arguments.begin() + 1, arguments.end()});
  }
  fmt::print(std::cerr, "sluice-loader: there is no verb '{}' (see: sluice-loader --help)\n",
             first);
  return wrong_usage;
}

}  // namespace
}  // namespace sluice::loader

int main(int argc, char** argv) {
  return sluice::loader::run({argv + 1, argv + argc});
}
