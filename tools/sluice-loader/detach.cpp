#include <fmt/format.h>

#include "attachment/attachment.hpp"
#include "options.hpp"

namespace sluice::loader {
namespace {

constexpr Help help = {
    "detach IF... | --all [options]",
    "Takes Sluice off network interfaces. The maps stay pinned, so a later attach goes on with the "
    "same\n"
    "configuration and connections. --all takes it off everywhere and removes the maps too.",
    "  sluice-loader detach eth0\n"
    "  sluice-loader detach --all\n"};

void print(const std::vector<attachment::DetachedNic>& nics) {
  for (const auto& nic : nics) {
    fmt::print("{}: {}\n", nic.interface,
               nic.was_gone ? "the interface is gone; removed what was left of it" : "detached");
    if (!nic.settings.empty()) {
      fmt::print("{}: set back {}\n", nic.interface, fmt::join(nic.settings, " "));
    }
  }
}

}  // namespace

int run_detach(const Arguments& arguments) {
  po::options_description options("Options");
  options.add_options()("all", "every interface, and remove all programs, maps and their content");
  const auto parsed = parse(arguments, help, options, true);
  if (parsed.exit_code) return *parsed.exit_code;
  const bool all = parsed.values.count("all") > 0;
  const auto interfaces = parsed.interfaces();
  if (all && !interfaces.empty()) {
    return fail_usage("--all and interface '" + interfaces.front() + "' exclude each other",
                      "detach");
  }
  if (!all && interfaces.empty()) return fail_usage("an interface or --all is missing", "detach");

  const auto detached = all ? attachment::detach_all(parsed.pin_directory())
                            : attachment::detach(parsed.pin_directory(), interfaces);
  if (!detached) return fail_with(detached.error());
  print(*detached);
  if (all) {
    fmt::print("{}: removed program, maps and their content\n", parsed.pin_directory());
  } else {
    fmt::print("{}: maps stay pinned (detach --all removes them)\n", parsed.pin_directory());
  }
  return done;
}

}  // namespace sluice::loader
