#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "attachment/attachment.hpp"
#include "attachment/host.hpp"
#include "network/routes.hpp"
#include "options.hpp"

namespace sluice::loader {
namespace {

constexpr Help help = {
    "detach IF... | --host | --all [options]",
    "Takes Sluice off network interfaces. The maps stay pinned, so a later attach goes on with the "
    "same\n"
    "configuration and connections. --all takes it off everywhere and removes the maps too. Routes "
    "that\n"
    "announce VIPs (sluiced --announce-routes) go a second earlier, so that routers send packets\n"
    "elsewhere by then. --host undoes attach --host; so does --all.",
    "  sluice-loader detach eth0\n"
    "  sluice-loader detach --all\n"};

// The time in which a BGP daemon tells its routers (seen: 0.7 s at most on a busy machine).
constexpr auto until_routers_know = std::chrono::seconds(1);

Result<void> withdraw_vips() {
  const auto withdrawn = network::withdraw_announcements();
  if (!withdrawn) return tl::unexpected(withdrawn.error());
  if (*withdrawn == 0) return {};
  fmt::print("withdrew {} routes of VIPs (table {})\n", *withdrawn, network::announcement_table);
  std::this_thread::sleep_for(until_routers_know);
  return {};
}

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
  options.add_options()("host", "this host's own processes no longer reach VIPs")(
      "all", "every interface, and remove all programs, maps and their content");
  const auto parsed = parse(arguments, help, options, true);
  if (parsed.exit_code) return *parsed.exit_code;
  const bool all = parsed.values.count("all") > 0;
  const auto interfaces = parsed.interfaces();
  if (all && !interfaces.empty()) {
    return fail_usage("--all and interface '" + interfaces.front() + "' exclude each other",
                      "detach");
  }
  const bool host = parsed.values.count("host") > 0;
  if (!all && !host && interfaces.empty())
    return fail_usage("an interface, --host or --all is missing", "detach");
  if (host && !all) {
    const auto detached = attachment::detach_host(parsed.pin_directory());
    if (!detached) return fail_with(detached.error());
    fmt::print("host: {}\n", *detached ? "detached" : "was not attached");
    if (interfaces.empty()) return done;
  }

  const auto detached = all ? attachment::detach_all(parsed.pin_directory(), withdraw_vips)
                            : attachment::detach(parsed.pin_directory(), interfaces, withdraw_vips);
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
