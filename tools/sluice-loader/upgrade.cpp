#include <fmt/format.h>

#include "attachment/attachment.hpp"
#include "options.hpp"

namespace sluice::loader {
namespace {

constexpr Help help = {
    "upgrade [options]",
    "Loads this build's program over the pinned maps and swaps it in on every interface, without "
    "losing a\n"
    "packet or a connection. Where the flow tables have another layout, connections are carried to "
    "new\n"
    "ones. Refuses any other map whose layout or version this build can't read, and names it.",
    "  sluice-loader upgrade\n"};

}  // namespace

int run_upgrade(const Arguments& arguments) {
  const auto parsed = parse(arguments, help, po::options_description("Options"), false);
  if (parsed.exit_code) return *parsed.exit_code;

  const auto report = attachment::upgrade(parsed.pin_directory());
  if (!report) return fail_with(report.error());
  if (report->carried)
    fmt::print("the flow tables have a new layout: {} connections were carried\n",
               *report->carried);
  for (const auto& interface : report->interfaces) fmt::print("{}: upgraded\n", interface);
  fmt::print("{}: program {} (tag {}) replaced by {} (tag {}{})\n", parsed.pin_directory(),
             report->old_program_id, report->old_tag, report->new_program_id, report->new_tag,
             report->old_tag == report->new_tag ? ", the same code" : "");
  return done;
}

}  // namespace sluice::loader
